from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.schedule.housekeeper import Housekeeper


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what is waited for are counters, which set no event
            await asyncio.sleep(0.01)


def test_a_job_runs_again_and_again_until_the_stop() -> None:
    async def scenario() -> None:
        keeper = Housekeeper()
        seen: list[int] = []

        async def job() -> None:
            seen.append(1)

        keeper.add("count", job, seconds=0.02)
        keeper.start()
        await until(lambda: len(seen) >= 3)
        keeper.stop()
        await asyncio.sleep(0)
        before = keeper.counts["count"].runs
        other = Housekeeper()
        other.add("count", _nothing, seconds=0.02)
        other.start()
        await until(lambda: other.counts["count"].runs >= 3)
        other.stop()
        assert keeper.counts["count"].runs == before == len(seen)
        assert keeper.counts["count"].failures == 0

    asyncio.run(scenario())


def test_a_job_that_fails_is_counted_logged_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        keeper = Housekeeper()
        others: list[int] = []

        async def bad() -> None:
            raise ZeroDivisionError("糸が切れた")

        async def good() -> None:
            others.append(1)

        keeper.add("bad", bad, seconds=0.02)
        keeper.add("good", good, seconds=0.02)
        keeper.start()
        await until(lambda: keeper.counts["bad"].failures >= 2 and len(others) >= 2)
        keeper.stop()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert "job bad failed" in caplog.text
    assert "糸が切れた" in caplog.text


def test_a_slow_job_never_runs_twice_at_once() -> None:
    async def scenario() -> None:
        keeper = Housekeeper()
        at_once, most = 0, 0

        async def slow() -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.06)
            at_once -= 1

        keeper.add("slow", slow, seconds=0.02)
        keeper.start()
        await until(lambda: keeper.counts["slow"].runs >= 3)
        keeper.stop()
        assert most == 1

    asyncio.run(scenario())


def test_a_job_under_way_is_cancelled_by_the_stop() -> None:
    async def scenario() -> None:
        keeper = Housekeeper()
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def endless() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        keeper.add("endless", endless, seconds=0.01)
        keeper.start()
        await asyncio.wait_for(begun.wait(), 10)
        keeper.stop()
        await asyncio.wait_for(cancelled.wait(), 10)

    asyncio.run(scenario())


async def _nothing() -> None:
    return


@each_row(
    "when, words",
    [
        ({}, "either"),
        ({"seconds": 1.0, "cron": "* * * * *"}, "either"),
        ({"seconds": 0.0}, "longer than 0"),
    ],
)
def test_a_wrong_time_is_refused(when: dict[str, object], words: str) -> None:
    with pytest.raises(OpsError, match=words):
        Housekeeper().add("x", _nothing, **when)
