"""Performs the steps of an apply, or of the way back, and proves what they came to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TypeVar

from techsapo_ops.apply.outcome import Listener, Outcome
from techsapo_ops.apply.steps import Rolling, failed_sibling
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Mismatch, Running
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.step import Action, Step

PATIENCE = 10.0
"""Seconds in which a reload must have become visible; each server takes milliseconds."""
_LOG_LINES = 8
T = TypeVar("T")
_QUIET = (Action.CREATE, Action.NOTHING)
"""What disturbs no service that runs; everything else is done one at a time."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Callbacks for a service: `ready` when it is, before what needs it is started, and may raise OpsError;
    `changed` when it was, and in how many seconds."""

    ready: Callable[[str], None]
    changed: Callable[[str, float], None]


@dataclass(eq=False, slots=True)
class Work:
    """Brings what `running` runs from `before` to `desired`; `outcomes` is how each step ended.

    `marks` are called for each service, `pause` waits that many seconds.
    """

    running: Running
    desired: Desired
    before: Observed
    listener: Listener
    marks: Marks
    pause: Callable[[float], None]
    outcomes: list[Outcome] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _spoken_for: set[str] = field(default_factory=set)
    """Kinds on several machines for which one instance, left as it was, has already been reported."""

    @property
    def failed(self) -> bool:
        """Whether a step has failed."""
        return any(o.error is not None for o in self.outcomes)

    def perform(self, steps: Sequence[Step], *, stop: bool) -> None:
        """Perform `steps` in order, those that disturb nothing together; outcomes come in that order too.

        `stop` ends at the first failure, else only what needs it is left out.
        """
        topology = self.desired.topology
        kinds = {s.name: s.kind for s in topology.services}
        after = {s.name: topology.comes_after(s) for s in topology.services}
        rolling = Rolling(self.before, self.listener.say, self.pause)
        for part in stretches(steps, self.running.at_once):
            for step in part:
                rolling.before(step, kinds.get(step.service, ""))
            first = len(self.outcomes)
            ended = together(
                part,
                after,
                lambda step, part=part: self._step(step, part),  # type: ignore[misc] # bound per part
                at_once=self.running.at_once,
                go_on=lambda: not (stop and self.failed),
            )
            for outcome in ended:
                self.outcomes.append(outcome)
                self.listener.done(outcome)
                if outcome.step.action is not Action.NOTHING and outcome.error is None:
                    self.marks.changed(outcome.step.service, outcome.seconds)
            places = {step.service: place for place, step in enumerate(part)}
            self.outcomes[first:] = sorted(self.outcomes[first:], key=lambda o: places[o.step.service])
            if stop and self.failed:
                return

    def _step(self, step: Step, part: Sequence[Step]) -> Outcome:
        started = time.monotonic()
        failed = {o.step.service for o in self.outcomes if o.error is not None}
        sibling = failed_sibling(step, self.desired, self.before, failed)
        if sibling is not None:
            why = msg("stays as it was, because {sibling} did not start", sibling=sibling)
            self.listener.warn(msg("{service} {why}", service=step.service, why=why))
            return Outcome(Step(Action.NOTHING, step.service, why), 0.0)
        needs = next((s.needs for s in self.desired.topology.services if s.name == step.service), ())
        # One that runs is looked at all the same, and left as it is.
        broken = [name for name in needs if name in failed and step.action is not Action.NOTHING]
        error: OpsError | None = None
        if broken:
            error = OpsError(
                msg(
                    "{service} was not started: it needs {broken}, which failed",
                    service=step.service,
                    broken=", ".join(broken),
                )
            )
        else:
            try:
                step.perform(self.running, self.desired, self.listener.say, part)
                if step.action is not Action.REMOVE:
                    self._ready(step)
            except OpsError as problem:
                error = problem
        return Outcome(step, time.monotonic() - started, error)

    def _ready(self, step: Step) -> None:
        """Report a service that is ready. Raises OpsError.

        The same service on several machines is one cluster: among unchanged instances one speaks for all,
        or the same member would get the same question once for each.
        """
        service = self.desired.topology.find(step.service)
        if step.action is not Action.NOTHING or service is None:
            self.marks.ready(step.service)
            return
        with self._turn:
            if service.instance not in self._spoken_for:
                self.marks.ready(step.service)
                self._spoken_for.add(service.instance)

    def prove(self) -> None:
        """Read back what runs, and turn the outcome of each service that differs into a failure."""
        good = [
            o.step.service for o in self.outcomes if o.error is None and o.step.action is not Action.REMOVE
        ]
        mismatches = {m.service: m for m in self.running.prove(self.desired, good, PATIENCE)}
        for number, outcome in enumerate(self.outcomes):
            mismatch = mismatches.get(outcome.step.service)
            if mismatch is not None and outcome.error is None:
                self.outcomes[number] = replace(outcome, error=self._error(mismatch))
                self.listener.done(self.outcomes[number])

    def _error(self, mismatch: Mismatch) -> OpsError:
        name = mismatch.service
        lines = [line.text for line in self.running.logs([name], lines=_LOG_LINES)]
        quoted = "".join(f"\n  | {line}" for line in lines)
        said = msg("\nlast lines of its log:{quoted}", quoted=quoted) if lines else ""
        return OpsError(
            msg("{name}: {what}{said}", name=name, what=mismatch.what, said=said),
            msg("`techsapo logs {name}` shows more", name=name),
        )


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
