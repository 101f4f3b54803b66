"""The stand-ins' lists of models, in each vendor's shape (tests/cases/vendors/models.yaml)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from asking import KEY
from rows import each_row
from vendors import PLAYS, vendor
from vendors.wires import WIRES

pytestmark = pytest.mark.lab

BEARER = {"Authorization": f"Bearer {KEY}"}
HEADERS = {
    "openai": BEARER,
    "openai-compatible": {},
    "openrouter": {},
    "anthropic": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "google": {"x-goog-api-key": KEY},
}
PATHS = {"anthropic": "/v1/models", "google": "/v1beta/models"}


def get(kind: str, more: str = "", headers: dict[str, str] | None = None, **seen: Any) -> httpx.Response:
    """What a vendor's stand-in says when it is asked for its models."""

    async def main() -> httpx.Response:
        async with vendor(WIRES[kind]) as shop, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            for name, value in seen.items():
                setattr(shop, name, value)
            url = f"{shop.url}{PATHS.get(kind, '/models')}{more}"
            return await client.get(url, headers=HEADERS[kind] if headers is None else headers)

    return asyncio.run(main())


@each_row(
    "kind, model, field, told",
    [
        ("openai", "gpt-4.1", "shutdown_date", "2027-01-14"),
        ("openai", "gpt-6.1-sol", "shutdown_date", None),
        ("anthropic", "claude-sonnet-4-5", "retires_at", "2026-11-30T00:00:00Z"),
        ("anthropic", "claude-sonnet-4-5", "lifecycle", "deprecated"),
        ("anthropic", "claude-sonnet-5-5", "lifecycle", "active"),
        ("openrouter", "lab/old-model", "expiration_date", "2026-12-31"),
    ],
)
def test_the_day_on_which_a_model_ends_stands_in_the_list(
    kind: str, model: str, field: str, told: str | None
) -> None:
    listed = get(kind, "?limit=1000" if kind == "anthropic" else "").json()["data"]
    (row,) = [row for row in listed if row["id"] == model]
    assert row[field] == told


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
