"""Let another machine's server of a kind take over, without losing what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from techsapo_ops.apply.administration import recorded
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Which service took over from which, in seconds, and how many bytes of what was written were lost."""

    before: str
    now: str
    seconds: float
    lost: int


def switchover(stack: Stack, kind: str, to: str | None, warn: Callable[[str], None]) -> TakenOver:
    """Let the server of `kind` on the machine `to` take over; without, the best one.

    Raises OpsError where the stack has one server of it, or the switch would lose something; it then goes on
    as before. Raises HostsAway where hosts that can't be reached may have all that runs.
    """
    able = [each.name for each in kinds() if each.beside("switchover") is not None]
    module = kind_of(kind).beside("switchover") if kind in able else None
    if module is None:
        raise OpsError(
            msg("{kind} has nothing to switch over", kind=repr(kind)),
            msg("there is: {kinds}", kinds=", ".join(able)),
            exit_code=2,
        )
    if len(stack.topology.of_kind(kind)) < 2:
        raise OpsError(
            msg("this stack has one {title}, so that none can take over", title=kind_of(kind).facts.title),
            msg("three hosts have three: docs/three-machines.md"),
            exit_code=2,
        )
    stack.engine.observe().require_known()
    with recorded(stack.layout, msg("hosts switchover"), {"service": kind, "to": to}, warn) as known:
        switched = module.switch_over(stack, to)
        found = TakenOver(switched.old.name, switched.new.name, switched.seconds, switched.lost)
        known.update({"before": found.before, "now": found.now, "lost": found.lost})
    return found
