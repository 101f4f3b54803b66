"""The stand-ins refuse what their vendors refuse, and list models as those do, by tests/cases/vendors."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import KEY
from rows import each_row
from vendors import PLAYS, Vendor, vendor
from vendors.chats import SERVERS, OpenAIChat
from vendors.clouds import CLOUDS
from vendors.core import Wire
from vendors.rules.shapes import dotted
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.bench.strictness import refusal

pytestmark = pytest.mark.lab

CASES: dict[str, Any] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "vendor_refusals.yaml").read_text(encoding="utf-8")
)
BASES: dict[str, Any] = CASES["bases"]
STAND_INS: dict[str, Wire] = {**WIRES, **SERVERS, **CLOUDS, "openai-chat": OpenAIChat()}
IN_A_SCHEMA = {"schema", "responseJsonSchema"}


def post(base: dict[str, Any], body: Any, **more: Any) -> tuple[httpx.Response, Vendor]:
    """What a stand-in says to a call like that of `base`, but with this body, path, or headers."""
    headers = {**base["headers"], **more.get("headers", {})}
    sent = {name: value.format(key=KEY) for name, value in headers.items() if value is not None}

    async def main() -> tuple[httpx.Response, Vendor]:
        wire = STAND_INS[base["stand_in"]]
        async with vendor(wire) as seen, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            url = seen.url.removesuffix(wire.prefix) + more.get("path", base["path"])
            return await client.post(url, json=body, headers=sent), seen

    return asyncio.run(main())


def merged(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`body` with the fields of `change`, objects field by field."""
    made = copy.deepcopy(body)
    for name, value in change.items():
        both = isinstance(value, dict) and isinstance(made.get(name), dict)
        made[name] = merged(made[name], value) if both else value
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a body there are objects; properties in a schema are names of the user's."""
    if isinstance(value, dict):
        if path[-1:] != ("properties",):
            yield path
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, (*path, number))


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        body = body[part]
    return body


@each_row("api", BASES)
def test_a_call_that_the_vendor_takes_is_answered(api: str) -> None:
    told, seen = post(BASES[api], BASES[api]["body"])
    assert told.status_code == 200, told.text
    assert (len(seen.asked), seen.refused) == (1, [])


@each_row("case", CASES["cases"], ids=lambda c: f"{c['api']}-{c.get('words') or c['status']}")
def test_what_breaks_a_rule_is_refused_in_the_vendors_shape(case: dict[str, Any]) -> None:
    base = BASES[case["api"]]
    body = merged(base["body"], case.get("change", {}))
    for field in case.get("without", ()):
        *path, last = field.split(".")
        del at(body, tuple(path))[last]
    more = {name: case[name] for name in ("path", "headers") if name in case}
    told, seen = post(base, body, **more)
    assert told.status_code == case["status"], told.text
    error = told.json()["error"]
    assert case.get("words", "") in (error if isinstance(error, str) else error["message"])
    for name, value in case.get("error", {}).items():
        assert error[name] == value
    assert len(seen.refused) == 1


@each_row(
    "api, path",
    [
        pytest.param(api, path, id=f"{api}-{'.'.join(map(str, path)) or 'top'}")
        for api, base in BASES.items()
        for path in places(base["body"])
    ],
)
def test_a_field_that_no_row_allows_is_refused_or_noted_wherever_it_stands(
    api: str, path: tuple[Any, ...]
) -> None:
    """A schema is looked into by the vendors that have a strict mode of their own."""
    base = BASES[api]
    body = copy.deepcopy(base["body"])
    at(body, path)["x_bogus"] = {"x": 1}
    told, seen = post(base, body)
    lenient = base["stand_in"] in SERVERS
    loose = lenient or api in {"compatible", "bedrock_chat"}
    if loose and IN_A_SCHEMA & set(path):
        assert told.status_code == 200
    elif lenient:
        assert told.status_code == 200, "it passes over what it does not know"
        assert seen.asked[0].unread == (dotted((*path, "x_bogus")),)
    else:
        assert told.status_code == 400, told.text
        assert len(seen.refused) == 1


@each_row("api", ["compatible", "responses", "messages", "gemini"])
def test_the_upstream_of_the_bench_is_as_strict(api: str) -> None:
    base = BASES[api]
    headers = {"content-type": "application/json", "x-goog-api-key": KEY, "anthropic-version": "2023-06-01"}
    taken, refused = (
        refusal(base["path"], headers, json.dumps(body).encode())
        for body in (base["body"], {**base["body"], "x_bogus": 1})
    )
    assert taken is None
    assert refused is not None
    assert refused[0] == 400
    assert b"x_bogus" in refused[1]


BEARER = {"Authorization": f"Bearer {KEY}"}
HEADERS = {
    "openai": BEARER,
    "openai-compatible": {},
    "openrouter": {},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "google": {"x-goog-api-key": KEY},
}
PATHS = {"anthropic": "/v1/models", "google": "/v1beta/models"}


def get(kind: str, more: str = "", headers: dict[str, str] | None = None, key: str | None = None) -> Any:
    """What a vendor's stand-in that lets in `key` says when it is asked for its models."""

    async def main() -> httpx.Response:
        async with vendor(WIRES[kind]) as shop, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            shop.key = key
            url = f"{shop.url}{PATHS.get(kind, '/models')}{more}"
            return await client.get(url, headers=HEADERS[kind] if headers is None else headers)

    return asyncio.run(main())


def test_anthropic_tells_its_models_to_who_names_a_version_of_its_api() -> None:
    told = get("anthropic", headers={"x-api-key": KEY})
    assert told.status_code == 400
    assert "anthropic-version" in told.json()["error"]["message"]


def test_a_long_list_comes_in_pages() -> None:
    first = get("anthropic").json()
    assert (len(first["data"]), first["has_more"]) == (20, True)
    second = get("anthropic", f"?limit=1000&after_id={first['last_id']}").json()
    assert second["has_more"] is False
    ids = [model["id"] for model in first["data"] + second["data"]]
    assert len(ids) == len(set(ids))
    assert set(ids) > PLAYS
    assert get("anthropic", "?limit=1001").status_code == 400
    page = get("google", "?pageSize=5").json()
    assert len(page["models"]) == 5
    assert get("google", f"?pageSize=5&pageToken={page['nextPageToken']}").json()["models"]


@each_row("kind", ["openai", "anthropic", "google", "openai-compatible"])
def test_one_model_is_told_by_its_name_and_an_unknown_one_is_a_404(kind: str) -> None:
    assert get(kind, "/good").json().get("id", "good") == "good"
    told = get(kind, "/no-such")
    assert told.status_code == 404
    assert told.json()["error"]["message"]


@each_row(
    "kind, none, unknown",
    [
        ("openai", (401, "You didn't provide an API key"), (401, "Incorrect API key provided")),
        ("anthropic", (401, "x-api-key header is required"), (401, "invalid x-api-key")),
        ("google", (403, "unregistered callers"), (400, "API key not valid")),
    ],
)
def test_the_models_are_told_to_nobody_without_the_key(
    kind: str, none: tuple[int, str], unknown: tuple[int, str]
) -> None:
    for (status, words), told in (
        (none, get(kind, headers={"anthropic-version": "2023-06-01"})),
        (unknown, get(kind, key="another")),
    ):
        assert told.status_code == status
        assert words in told.json()["error"]["message"]
