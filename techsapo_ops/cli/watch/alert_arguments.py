"""What the commands of `techsapo alerts` are given: which alerts, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.catalogue.alerts import WATCHDOG, Alert
from techsapo_ops.cli.arguments import span_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.silencing import SHORTEST, WHY_NOT_WATCHDOG, mutes_watchdog
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.watch.alerts.firing import known

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def severity_text(alert: Alert) -> str:
    """Its severity, and that it wakes people, where it does."""
    return f"{alert.severity}, page" if alert.page else alert.severity


def matchers(name: str | None, given: Sequence[str]) -> list[Matcher]:
    """Of the alert `name` and of `--matcher`. Raises OpsError for what is none."""
    try:
        parsed = [Matcher.parse(text) for text in given]
    except ValueError as error:
        raise OpsError(msg("--matcher: {error}", error=error), exit_code=2) from None
    return [*([Matcher("alertname", "=", known(name).name)] if name is not None else []), *parsed]


def until(duration: str) -> datetime:
    """When what begins now and has the length of `--for` ends. Raises OpsError for no such length."""
    length = span_of("--for", duration)
    if length.total_seconds() < SHORTEST:
        raise OpsError(
            msg("--for must be at least {shortest:g} s", shortest=SHORTEST),
            msg("write e.g. 30m or 2h; 1m is the least"),
            exit_code=2,
        )
    return datetime.now(UTC) + length


def refuse_watchdog(wanted: Sequence[Matcher]) -> None:
    """Raise OpsError where a silence of `wanted` would hold for Watchdog."""
    if not mutes_watchdog(wanted):
        return
    alone = any(m.name == "alertname" and m.operator == "=" for m in wanted)
    raise OpsError(
        msg(
            "{watchdog} can't be silenced: {why_not_watchdog}",
            watchdog=WATCHDOG,
            why_not_watchdog=WHY_NOT_WATCHDOG,
        )
        if alone
        else msg(
            "that silences {watchdog} as well: {why_not_watchdog}",
            watchdog=WATCHDOG,
            why_not_watchdog=WHY_NOT_WATCHDOG,
        ),
        msg("pause the check at your watcher (notifications.watchdog)")
        if alone
        else msg("add `-m alertname!={watchdog}`", watchdog=WATCHDOG),
        exit_code=2,
    )


def alertmanager_in(stack: Stack) -> Alertmanager:
    """The stack's own. Raises OpsError where it runs none."""
    server = alertmanager_of(stack)
    if server is None:
        raise OpsError(
            msg("this stack runs no Alertmanager"),
            msg("set monitoring.alertmanager.enabled, then `techsapo up`"),
        )
    return server
