"""Who would be told of nothing: by severity, when the whole host is silent, and whom links lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.spec import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.root import AT_ONCE
from techsapo_ops.stack.address import SETTING, leads_here_alone
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.topology import Topology


def unreached_lines(spec: Spec) -> Iterator[str]:
    """A line for each, with what to write after a colon."""
    if nobody := spec.told_nobody:
        yield nobody
    if watcher := spec.watched_by_nobody:
        yield watcher
    yield from _less_urgent(spec)


def _less_urgent(spec: Spec) -> Iterator[str]:
    """What is no exposure in production either."""
    unreached = set(spec.unreached)
    if not unreached or not spec.monitoring.alertmanager.enabled:
        return
    if "warning" in unreached and not unreached & {"critical", "page"}:
        yield msg("warnings reach no one: add a receiver to notifications.warning")
    if not unreached & {"critical", "page"} and leads_here_alone(spec):
        yield msg(
            "links in messages open on this host alone: write where the pages are opened, `{setting}`",
            setting=SETTING,
        )


def _later(spec: Spec) -> bool:
    """Whether nobody but the next receivers hears of the worst, which is no exposure."""
    return any(name.endswith(AT_ONCE) for name in spec.unreached)


def look_at_notifications(topology: Topology) -> Iterator[HostFinding]:
    """The same as findings. In production they are warnings, without those that are exposures there."""
    strict = topology.layout.environment == PRODUCTION
    late = topology.spec.told_nobody if _later(topology.spec) else ""
    lines = [late, *_less_urgent(topology.spec)] if strict else unreached_lines(topology.spec)
    for line in filter(None, lines):
        what, _, remedy = line.partition(": ")
        yield HostFinding("notifications", "alerts", Level.WARNING if strict else Level.NOTE, what, remedy)
