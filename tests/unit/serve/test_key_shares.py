"""One key's questions leave places to other keys."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import URL
from orchestrator import client_of, make_app
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.shares import Shares
from techsapo_ops.stores.keys import ApiKey, KeyFile, Plan, new_key
from techsapo_ops.wallbounce.providers.provider import Ask, Reply
from techsapo_ops.wallbounce.providers.simulated import Simulated

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SLOW = "a slow question"


def key(plan: Plan, name: str = "") -> tuple[ApiKey, str]:
    return new_key(name or plan, plan=plan, scopes=("ask",), now=NOW)


@asynccontextmanager
async def held_up(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let providers keep every question that begins with SLOW until the end of the block."""
    answered, call = asyncio.Event(), Simulated.call

    async def slowly(self: Simulated, ask: Ask) -> Reply:
        if ask.question.text.startswith(SLOW):
            await answered.wait()
        return await call(self, ask)

    with monkeypatch.context() as patched:
        patched.setattr(Simulated, "call", slowly)
        try:
            yield
        finally:
            answered.set()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110 - requests have no event for it
            await asyncio.sleep(0.01)


Post = Callable[[str, str], asyncio.Task[httpx.Response]]


@asynccontextmanager
async def asking(app: App) -> AsyncIterator[Post]:
    """A function that asks by a key, as a task."""
    async with client_of(app) as client:

        def post(prompt: str, shown: str) -> asyncio.Task[httpx.Response]:
            headers = {"Authorization": f"Bearer {shown}"}
            return asyncio.create_task(client.post(URL, json={"prompt": prompt}, headers=headers, timeout=60))

        yield post


def with_keys(directory: Path, keys: list[ApiKey], **limits: Any) -> App:
    KeyFile(directory / "api-keys.json").write(tuple(keys))
    app = {"auth": {"required": True}, "limits": limits}
    return make_app(directory, app=app, budget={"monthly_usd": 1e6, "daily_usd": 1e6})


async def test_a_premium_key_has_its_answer_while_a_basic_one_floods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic, premium = key("basic"), key("premium")
    app = with_keys(tmp_path, [basic[0], premium[0]])
    async with asking(app) as post, held_up(monkeypatch):
        flood = [post(f"{SLOW} {n}", basic[1]) for n in range(70)]
        await until(lambda: sum(task.done() for task in flood) == 70 - 32)
        assert (await post("502 after a deploy", premium[1])).status_code == 200
        refused = [task.result() for task in flood if task.done()]
    assert all(int(each.headers["Retry-After"]) >= 1 for each in refused)
    codes = Counter((each.status_code, each.json()["code"]) for each in refused)
    assert codes == {(429, "key_busy"): 70 - 32}, "half of the 64 places are left to others"


async def test_who_waits_for_another_keys_question_is_not_refused_for_that_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The basic key is beyond its share, and both ask the same at the same moment."""
    basic, premium = key("basic"), key("premium")
    app = with_keys(tmp_path, [basic[0], premium[0]], concurrency=4)
    async with asking(app) as post, held_up(monkeypatch):
        flood = [post(f"{SLOW} {n}", basic[1]) for n in range(2)]
        await until(lambda: app.metrics.samples("techsapo_inflight_analyses")[0][1] == 2)
        both = [post("502 after a deploy", basic[1]), post("502 after a deploy", premium[1])]
        assert [(await task).status_code for task in both] == [429, 200]
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


def take_all(places: Shares, one: ApiKey, held: ExitStack) -> None:
    while True:
        held.enter_context(places.place(one))


ALONE = [(["basic"], [32]), (["standard"], [43]), (["premium"], [52])]


@each_row(
    "plans, shares",
    [*ALONE, (["basic", "basic"], [32, 16]), (["basic", "basic", "premium"], [32, 16, 13])],
)
def test_each_key_gets_so_many_of_64_places_one_after_the_other(plans: list[Plan], shares: list[int]) -> None:
    places, got = Shares(64), []
    with ExitStack() as held:
        for n, plan in enumerate(plans):
            one, before = key(plan, f"{n}")[0], places.taken
            with pytest.raises(Problem) as refused:
                take_all(places, one, held)
            assert (refused.value.status, refused.value.code) == (429, "key_busy")
            got.append(places.taken - before)
    assert got == shares
    assert places.taken == 0


def test_where_no_key_is_needed_every_place_is_for_all() -> None:
    places = Shares(3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(places.place(None))
        with pytest.raises(Problem, match="3 analyses are already in progress"):
            held.enter_context(places.place(None))
