"""The form that silences an alert: only who may does, and a link alone changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from monitoring_stack import monitoring_files, spec_of
from orchestrator import client_of, make_spec
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.stores.keys import KeyFile, Scope, new_key

pytestmark = pytest.mark.lab

ASKED = {"hours": 2, "comment": "新しいディスク"}
PATH = "/api/v1/alerts/DiskFilling/silence"
SECRET = "s" * 32
SIGN_IN = {"address": "http://127.0.0.1:4180", "secret": SECRET}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager")
    config = monitoring_files(spec_of(notifications={}), folder)["alertmanager/alertmanager.yml"].content
    with servers.alertmanager(config.replace("templates/*.tmpl", "none/*.tmpl"), folder) as server:
        yield Alertmanager(server.url)


@pytest.fixture(autouse=True)
def silent(alertmanager: Alertmanager) -> Iterator[None]:
    yield
    for silence in alertmanager.silences():
        if silence.state != "expired":
            alertmanager.expire(silence.id)


def active(alertmanager: Alertmanager) -> list[tuple[list[str], str, str]]:
    return [
        ([str(m) for m in s.matchers], s.created_by, s.comment)
        for s in alertmanager.silences()
        if s.state == "active"
    ]


def asked(
    folder: Path, url: str | None, work: Callable[[httpx.AsyncClient], Awaitable[Any]], **app: Any
) -> Any:
    """What `work` has from a client of an instance whose Alertmanager is at `url`."""
    instance = App(Options(make_spec(app=app), "app-1", folder / "data", alertmanager=url))

    async def main() -> Any:
        async with client_of(instance) as client:
            return await work(client)

    return asyncio.run(main())


def sent(folder: Path, url: str | None, headers: dict[str, str], body: Any = ASKED) -> httpx.Response:
    """The answer of an instance that needs keys to what the form sends."""
    found: httpx.Response = asked(
        folder, url, lambda client: client.post(PATH, json=body, headers=headers), auth={"required": True}
    )
    return found


def key_of(folder: Path, *scopes: Scope) -> dict[str, str]:
    """Headers with a new key named ops of these scopes."""
    kept, shown = new_key("ops", plan="basic", scopes=scopes, now=datetime.now(UTC))
    KeyFile(folder / "api-keys.json").write((kept,))
    return {"Authorization": f"Bearer {shown}"}


def test_a_key_of_scope_operate_silences_the_alert_for_the_hours_and_says_who(
    tmp_path: Path, alertmanager: Alertmanager
) -> None:
    headers = key_of(tmp_path, "operate")
    before = datetime.now(UTC)
    answer = sent(tmp_path, alertmanager.url, headers)
    assert answer.status_code == 201, answer.text
    assert active(alertmanager) == [(["alertname=DiskFilling"], "ops", "新しいディスク")]
    told = answer.json()
    until = datetime.fromisoformat(told["until"])
    assert timedelta(hours=1, minutes=59) < until - before < timedelta(hours=2, minutes=1)
    assert (told["by"], told["alert"]) == ("ops", "DiskFilling")


@each_row("scopes", [(), ("ask",), ("monitor",), ("ask", "monitor")])
def test_no_other_key_does(tmp_path: Path, alertmanager: Alertmanager, scopes: tuple[Scope, ...]) -> None:
    headers = key_of(tmp_path, *scopes) if scopes else {}
    if not scopes:
        key_of(tmp_path, "operate")
    answer = sent(tmp_path, alertmanager.url, headers)
    assert answer.status_code == (403 if scopes else 401)
    assert active(alertmanager) == []


def test_who_signed_in_may_and_who_only_says_so_may_not(tmp_path: Path, alertmanager: Alertmanager) -> None:
    async def both(client: httpx.AsyncClient) -> list[httpx.Response]:
        told = {"X-Techsapo-User": "mari@example.com"}
        return [
            await client.post(PATH, json=ASKED, headers={**told, "X-Techsapo-Sign-In": "guessed"}),
            await client.post(PATH, json=ASKED, headers={**told, "X-Techsapo-Sign-In": SECRET}),
        ]

    forged, known = asked(tmp_path, alertmanager.url, both, auth={"sign_in": SIGN_IN})
    assert (forged.status_code, known.status_code) == (403, 201)
    assert [by for _, by, _ in active(alertmanager)] == ["mari@example.com"]


def test_where_nobody_can_be_known_nobody_silences_and_the_page_says_how_on_the_host(
    tmp_path: Path, alertmanager: Alertmanager
) -> None:
    async def both(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get("/alerts/DiskFilling/silence"), await client.post(PATH, json=ASKED)]

    page, refused = asked(tmp_path, alertmanager.url, both)
    assert "<form" not in page.text
    assert "techsapo alerts silence DiskFilling --for 2h" in page.text
    assert refused.status_code == 403
    assert "app.auth.required" in refused.json()["detail"]
    assert active(alertmanager) == []


def test_a_link_shows_a_form_and_changes_nothing(tmp_path: Path, alertmanager: Alertmanager) -> None:
    headers = key_of(tmp_path, "operate")

    async def looks(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.get("/alerts/DiskFilling/silence?hours=2&comment=x", headers=headers),
            await client.head("/alerts/DiskFilling/silence", headers=headers),
            await client.get(PATH, headers=headers),
            await client.get('/alerts/"><script>/silence'),
        ]

    page, head, api, hostile = asked(tmp_path, alertmanager.url, looks, auth={"required": True})
    assert [page.status_code, head.status_code, api.status_code, hostile.status_code] == [200, 200, 405, 404]
    assert '<form id="silence" data-alert="DiskFilling">' in page.text
    assert '<html lang="ja"' in page.text
    assert active(alertmanager) == []


@each_row("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_another_sites_page_can_not_send_the_form(
    tmp_path: Path, alertmanager: Alertmanager, origin: str
) -> None:
    headers = {**key_of(tmp_path, "operate"), "Origin": origin}
    answer = sent(tmp_path, alertmanager.url, headers)
    assert answer.status_code == 403
    assert active(alertmanager) == []


@each_row(
    "body, status",
    [
        ({"hours": 3, "comment": "x"}, 422), ({"hours": True, "comment": "x"}, 422),
        ({"hours": "2", "comment": "x"}, 422), ({"hours": [2], "comment": "x"}, 422),
        ({"hours": 2, "comment": " "}, 422), ({"hours": 2, "comment": "x" * 301}, 422),
        ({"hours": 2}, 422), ([], 422), ({"hours": 2, "comment": "x", "more": 1}, 422),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(
    tmp_path: Path, alertmanager: Alertmanager, body: Any, status: int
) -> None:
    headers = key_of(tmp_path, "operate")
    answer = sent(tmp_path, alertmanager.url, headers, body)
    assert (answer.status_code, answer.json()["code"]) == (status, "invalid_request")
    assert active(alertmanager) == []


def test_without_an_answer_of_alertmanager_it_says_so(tmp_path: Path) -> None:
    headers = key_of(tmp_path, "operate")

    absent = sent(tmp_path, None, headers)
    assert (absent.status_code, absent.json()["code"]) == (404, "not_found")
    assert sent(tmp_path, f"http://127.0.0.1:{servers.free_port()}", headers).status_code == 503
