"""Steps that a plan gets for reasons outside the engine's notes; app instances restart in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from techsapo_ops.adapters.build import build, difference
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.observed import Observed, State
from techsapo_ops.stack.step import Action, Plan, Step

DISTURBING = (Action.RESTART, Action.RECREATE)
"""What a running service notices."""
RETURN_SECONDS = 6.5
"""How long nginx passes over an app instance that it could not reach: `fail_timeout=5s`, and a bit.

nginx counts in whole seconds and asks again once more than five of them are over, which takes up to six
(`now - peer->checked <= peer->fail_timeout` in ngx_http_upstream_round_robin.c). The next
instance is restarted after that, or for a moment there would be none that nginx tries.
"""
YOUNG_SECONDS = 30.0
"""An instance that was started less than that ago may have been ready for less than RETURN_SECONDS."""


class Rolling:
    """Told of each step before it is done; waits where an app instance would go while another is not back.

    `before` is what ran at the start: without nginx in front nobody is spared anything, and an instance that
    something else has just started counts too, be it an `up` that was killed, `restart` or the supervisor.
    `pause` waits that many seconds, `say` gets the reason, `now` is the clock.
    """

    def __init__(
        self,
        before: Observed,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        running = [s for s in before.services.values() if s.state.runs]
        at = now()
        ran = {s.kind for s in running}
        self._balanced = frozenset(k.balances for k in kinds() if k.balances and k.name in ran)
        self._young = {
            s.name
            for s in running
            if s.kind in self._balanced
            and s.started is not None
            and (at - s.started).total_seconds() < YOUNG_SECONDS
        }
        self._say = say
        self._pause = pause

    def before(self, step: Step, kind: str) -> None:
        """`step` is about to be done to a service of `kind`."""
        if kind not in self._balanced:
            return
        if step.action in DISTURBING and self._young - {step.service}:
            self._say(
                msg(
                    "waiting {seconds:g} s for nginx to use the restarted instance again",
                    seconds=RETURN_SECONDS,
                )
            )
            self._pause(RETURN_SECONDS)
            self._young.clear()
        if step.action in {Action.CREATE, *DISTURBING}:
            self._young.add(step.service)


def failed_sibling(step: Step, desired: Desired, before: Observed, failed: Collection[str]) -> str | None:
    """The instance of the same kind whose start failed, for one that still runs and was to be disturbed.

    A new version that does not start takes one instance down and not all.
    """
    seen = before.services.get(step.service)
    if step.action not in DISTURBING or seen is None or seen.state is not State.RUNNING:
        return None
    kinds = {s.name: s.kind for s in desired.topology.services}
    return next((n for n in kinds if n in failed and kinds[n] == kinds[step.service]), None)


def without_lost(steps: Sequence[Step], desired: Desired, lost: Collection[str]) -> list[Step]:
    """The steps of what is not on one of the machines that are lost."""
    there = {s.name for s in desired.topology.services if s.machine.name in lost}
    return [step for step in steps if step.service not in there]


def by_proof(plan: Plan, desired: Desired, running: Running) -> Plan:
    """`plan` with a step for each service that seems up to date and by its own account is not.

    After a kill between a reload and its proof, or when someone started a process with other arguments,
    the engine's notes say that all is well. A service that does not answer is left to its gate.
    """
    quiet = [step.service for step in plan.steps if step.action is Action.NOTHING]
    mismatches = {m.service: m for m in running.prove(desired, quiet) if m.answered} if quiet else {}
    reloadable = {unit.service for unit in desired.units if unit.reload_signal is not None}

    def step(one: Step) -> Step:
        mismatch = mismatches.get(one.service)
        if mismatch is None or one.action is not Action.NOTHING:
            return one
        reloads = not mismatch.restart and one.service in reloadable
        return Step(Action.RELOAD if reloads else Action.RECREATE, one.service, mismatch.what)

    return Plan(tuple(step(one) for one in plan.steps)) if mismatches else plan


def with_new_build(plan: Plan, observed: Observed) -> Plan:
    """`plan` with a restart of each service that seems up to date and runs another build than the installed.

    By what each process noted when it started and not by what the last `up` knew: the supervisor may have
    started it again since, with the code of that moment.
    """

    def step(one: Step) -> Step:
        seen = observed.services.get(one.service)
        if seen is None or not seen.outdated or one.action is Action.REMOVE:
            return one
        why = msg(
            "runs {build}, but {build2} is installed ({what})",
            build=seen.build or msg("an unknown build"),
            build2=build(),
            what=difference(seen.build or ""),
        )
        if one.action is Action.NOTHING:
            return Step(Action.RESTART, one.service, why)
        return replace(one, reason=msg("{reason}; {why}", reason=one.reason, why=why)) if seen.build else one

    return Plan(tuple(step(one) for one in plan.steps))


def with_emptied(plan: Plan, lost: Collection[str]) -> Plan:
    """`plan` with a restart of each service in `lost`, whose data is gone and is made anew."""

    def step(one: Step) -> Step:
        if one.service not in lost or one.action not in {Action.NOTHING, Action.RELOAD}:
            return one
        return Step(
            Action.RESTART, one.service, msg("the service's data is gone, so the service starts empty")
        )

    return Plan(tuple(step(one) for one in plan.steps)) if lost else plan


def with_renewed(plan: Plan, renewed: str) -> Plan:
    """`plan` with a reload of what serves certificates where one is `renewed`, which says which and why."""
    if not renewed:
        return plan
    serving = {kind.name for kind in kinds() if kind.serves_certificates}
    return Plan(
        tuple(
            Step(Action.RELOAD, s.service, renewed)
            if s.service in serving and s.action is Action.NOTHING
            else s
            for s in plan.steps
        )
    )
