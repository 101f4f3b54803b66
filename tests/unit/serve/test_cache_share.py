"""Whose answers are given again: everybody's, or only those of the same caller."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from instances import URL, within
from orchestrator import QUICK, make_app
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.stores.keys import KeyFile, new_key

SECRET = "s" * 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)
UNHURRIED = {n: {**p, "latency": "150ms"} for n, p in QUICK.items()}


def keyed(directory: Path, share: str | None) -> tuple[App, list[dict[str, str]]]:
    """An app with two API keys, and what each sends."""
    made = [new_key(name, plan="premium", scopes=("ask",), now=NOW) for name in ("a", "b")]
    KeyFile(directory / "api-keys.json").write(tuple(key for key, _ in made))
    wallbounce = {"cache_share": share} if share else {}
    app = make_app(directory, app={"auth": {"required": True}}, providers=UNHURRIED, wallbounce=wallbounce)
    return app, [{"Authorization": f"Bearer {shown}"} for _, shown in made]


async def ask(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    reply = await client.post(URL, json={"prompt": "disk full"}, headers=headers)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def one_by_one(app: App, headers: list[dict[str, str]]) -> list[str]:
    async def work(client: httpx.AsyncClient) -> list[str]:
        return [(await ask(client, each))["cache"] for each in headers]

    return within(app, work)


@each_row(
    "share, caches",
    [(None, ["miss", "hit", "hit"]), ("all", ["miss", "hit", "hit"]), ("caller", ["miss", "miss", "hit"])],
)
def test_one_team_shares_its_answers_unless_each_key_is_to_have_its_own(
    tmp_path: Path, share: str | None, caches: list[str]
) -> None:
    app, (a, b) = keyed(tmp_path, share)
    assert one_by_one(app, [a, b, a]) == caches


def test_with_caller_nobody_waits_for_the_same_question_of_another_key(tmp_path: Path) -> None:
    app, (a, b) = keyed(tmp_path, "caller")
    told = within(app, lambda client: asyncio.gather(*(ask(client, each) for each in (a, a, b, b))))
    assert [t["cache"] for t in told].count("miss") == 2
    assert len([t for t in told if t["cost_usd"]]) == 2, "each caller pays for its own"


def test_with_caller_each_who_signed_in_has_answers_of_their_own(tmp_path: Path) -> None:
    sign_in = {"auth": {"sign_in": {"address": "http://127.0.0.1:4180", "secret": SECRET}}}
    app = make_app(tmp_path, app=sign_in, wallbounce={"cache_share": "caller"})
    a, b = ({"X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": name} for name in ("a@x", "b@x"))
    assert one_by_one(app, [a, b, a]) == ["miss", "miss", "hit"]


def test_with_caller_an_open_api_is_one_caller_whatever_name_is_claimed(tmp_path: Path) -> None:
    app = make_app(tmp_path, wallbounce={"cache_share": "caller"})
    assert one_by_one(app, [{}, {"X-User-Id": "somebody"}]) == ["miss", "hit"]
