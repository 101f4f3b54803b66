"""Who would be told of nothing: by severity, when the whole host is silent, and whom links lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.spec.edition import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.page_url import SETTING, leads_here_alone
from techsapo_ops.stack.topology import Topology


def unreached_lines(spec: Spec) -> Iterator[str]:
    """A line for each, with what to write after a colon."""
    unreached = set(spec.unreached)
    if nobody := spec.told_nobody:
        yield nobody
    if not unreached or not spec.monitoring.alertmanager.enabled:
        return
    if "warning" in unreached and "critical" not in unreached:
        yield msg("warnings reach no one: add a receiver to notifications.warning")
    if "watchdog" in unreached:
        yield msg("nobody notices when this stack can't tell any more: {watcher}", watcher=_watcher(spec))
    if "critical" not in unreached and leads_here_alone(spec):
        yield msg(
            "links in messages open on this host alone: write where the pages are opened, `{setting}`",
            setting=SETTING,
        )


def _watcher(spec: Spec) -> str:
    told = spec.notifications
    if told.is_example("watchdog"):
        return msg("write a real watcher's address in place of the example's into notifications.watchdog")
    if told.watchdog:
        return msg(
            "notifications.watchdog is on this host, which counts as none; let one elsewhere expect Watchdog"
        )
    return msg(
        "let a watcher elsewhere expect Watchdog, `notifications: {{watchdog: [{{kind: "
        "webhook, url_file: secrets/watcher}}]}}`"
    )


def look_at_notifications(topology: Topology) -> Iterator[HostFinding]:
    """The same as findings; in production they are warnings."""
    level = Level.WARNING if topology.layout.environment == PRODUCTION else Level.NOTE
    for line in unreached_lines(topology.spec):
        what, _, remedy = line.partition(": ")
        yield HostFinding("notifications", "alerts", level, what, remedy)
