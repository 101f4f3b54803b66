"""Services whose processes run another build of this package than the one that is installed."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.stack.engine import Action, Observed, ObservedService, Plan, State, Step

_RUNS = frozenset({State.RUNNING, State.STARTING})


def outdated(seen: ObservedService | None) -> bool:
    """Whether a process of this host runs another build than the one installed, or does not say which.

    Of a container its image decides: another code is another image, and so another definition.
    """
    if seen is None or seen.state not in _RUNS or seen.container:
        return False
    return seen.build is not None and is_other(seen.build)


def with_new_build(plan: Plan, observed: Observed) -> Plan:
    """`plan` with a restart of each service that seems up to date and runs another build.

    By what each process noted when it started and not by what the last `up` knew: the supervisor may have
    started it again since, with the code of that moment.
    """

    def step(one: Step) -> Step:
        seen = observed.services.get(one.service)
        if seen is None or not outdated(seen) or one.action is Action.REMOVE:
            return one
        why = f"runs {seen.build or 'a build that it does not tell'}, installed is {build()}"
        if one.action is Action.NOTHING:
            return Step(Action.RESTART, one.service, why)
        return replace(one, reason=f"{one.reason}; {why}") if seen.build else one

    return Plan(tuple(step(one) for one in plan.steps))
