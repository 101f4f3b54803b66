"""Starts services that do not wait for each other at the same time, and tells of each as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import TypeVar

from techsapo_ops.stack.step import Action, Step

T = TypeVar("T")

_QUIET = (Action.CREATE, Action.NOTHING)
"""What disturbs no service that runs; everything else is done one at a time."""


def stretches(steps: Sequence[Step], at_once: int) -> Iterator[tuple[Step, ...]]:
    """`steps` in their order, cut so that each part may be performed at the same time.

    Services that are started from nothing go together, everything else goes alone.
    """
    part: list[Step] = []
    for step in steps:
        if at_once > 1 and step.action in _QUIET:
            part.append(step)
            continue
        if part:
            yield tuple(part)
            part = []
        yield (step,)
    if part:
        yield tuple(part)


def together(
    steps: Sequence[Step],
    after: Mapping[str, Sequence[str]],
    perform: Callable[[Step], T],
    *,
    at_once: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[T]:
    """Perform `steps`, at most `at_once` at the same time, and yield what each came to as it ends.

    A step begins when those `after` which its service comes have ended; none begins once `go_on` says no.
    What `perform` raises is raised here when the others that had begun have ended. Ctrl-C waits for none:
    the threads are daemons, and what they were at is found by the next command as after a kill.
    """
    ended: SimpleQueue[tuple[Step, T | None, BaseException | None]] = SimpleQueue()
    waiting = list(steps)
    begun: set[str] = set()
    raised: BaseException | None = None

    def work(step: Step) -> None:
        try:
            ended.put((step, perform(step), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            ended.put((step, None, error))

    if len(steps) == 1:
        yield perform(steps[0])
        return
    while True:
        if raised is not None or not go_on():
            waiting.clear()
        unfinished = begun | {step.service for step in waiting}
        free = [s for s in waiting if not unfinished.intersection(after.get(s.service, ()))]
        for step in free[: at_once - len(begun)]:
            waiting.remove(step)
            begun.add(step.service)
            threading.Thread(target=work, args=(step,), daemon=True).start()
        if not begun:
            break
        step, result, error = ended.get()
        begun.remove(step.service)
        if error is not None:
            raised = raised or error
        elif result is not None:
            yield result
    if raised is not None:
        raise raised
