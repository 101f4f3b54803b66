"""Work that goes on as long as its client is there."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from techsapo_ops.serve.http.responses import while_connected


class Work:
    """Goes on until it is told to end; takes a moment to stop."""

    def __init__(self) -> None:
        self.begun, self.end, self.stopped = asyncio.Event(), asyncio.Event(), False

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.stopped = True
            raise
        return "done"


def waiting(work: Work, gone: asyncio.Event) -> asyncio.Task[str | None]:
    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def answered() -> str | None:
        result = await while_connected(Request({"type": "http"}, receive), work())
        await asyncio.sleep(0)  # whoever answers waits again, and is not cancelled there
        return result

    return asyncio.create_task(answered())


async def test_what_ends_first_is_the_result_even_if_the_client_goes_in_the_same_moment() -> None:
    for leaves in (False, True):
        work, gone = Work(), asyncio.Event()
        task = waiting(work, gone)
        await work.begun.wait()
        work.end.set()
        if leaves:
            gone.set()
        assert await task == "done"
        assert not work.stopped


async def test_a_client_that_goes_away_ends_the_work_and_not_who_waits_for_it() -> None:
    work, gone = Work(), asyncio.Event()
    task = waiting(work, gone)
    await work.begun.wait()
    gone.set()
    assert await task is None
    assert work.stopped
    assert not task.cancelling()


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_server_that_cancels_the_request_ends_both(leaves: bool) -> None:
    work, gone = Work(), asyncio.Event()
    task = waiting(work, gone)
    await work.begun.wait()
    if leaves:
        gone.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.stopped
