from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import copy_context
from pathlib import Path

import pytest
from orchestrator import QUICK, client_of, make_app

from techsapo_ops.serve.progress import told_to
from techsapo_ops.stores.flights import Flight
from techsapo_ops.wallbounce.events import Event

QUESTIONS = 10


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_an_analysis_leaves_no_circle_for_the_garbage_collector(tmp_path: Path, accept: str) -> None:
    # Under load the collector took a third of the processor, half of it for circles of our own.
    assert circles(tmp_path, accept) == []


def test_what_an_analysis_opened_does_not_keep_its_answer() -> None:
    # 600 pooled connections kept 200 documents, with all answers and grades: 5 MB.
    flight = Flight[str, Event]()
    gone = weakref.ref(flight)
    with told_to(flight):
        kept = copy_context()  # what uvloop keeps with a connection
    del flight
    assert gone() is None, list(kept.items())


def circles(directory: Path, accept: str) -> list[str]:
    """Names of our own types among what only the garbage collector frees after some questions."""
    app = make_app(directory, providers=QUICK)

    async def main() -> list[str]:
        async with client_of(app) as client:

            async def ask(prompt: str) -> None:
                await client.post("/api/v1/generate", json={"prompt": prompt}, headers={"accept": accept})

            await ask("the first one fills caches")
            gc.collect()
            gc.freeze()  # an exception that an earlier test kept may be let go meanwhile
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                for n in range(QUESTIONS):
                    await ask(f"question {n}")
                await asyncio.sleep(0.05)
                gc.collect()
                return [
                    type(each).__name__
                    for each in gc.garbage
                    if type(each).__module__.startswith("techsapo_ops")
                ]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.unfreeze()

    return asyncio.run(main())
