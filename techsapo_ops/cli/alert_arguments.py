"""What the commands of `techsapo alerts` are given: which alerts, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.watch.alerts import alertmanager_of, known
from techsapo_ops.spec.models.base import seconds

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def matchers(name: str | None, given: Sequence[str]) -> list[Matcher]:
    """Of the alert `name` and of `--matcher`. Raises OpsError for what is none."""
    try:
        parsed = [Matcher.parse(text) for text in given]
    except ValueError as error:
        raise OpsError(f"--matcher: {error}", exit_code=2) from None
    return [*([Matcher("alertname", "=", known(name).name)] if name is not None else []), *parsed]


def until(duration: str) -> datetime:
    """When what begins now and has the length of `--for` ends. Raises OpsError for no such length."""
    try:
        length = seconds(duration)
        end = datetime.now(UTC) + timedelta(seconds=length)
    except (ValueError, OverflowError) as error:
        raise OpsError(f"--for: {error}", "write e.g. 30m or 2h", exit_code=2) from None
    if length <= 0:
        raise OpsError("--for must be longer than 0", "write e.g. 30m or 2h", exit_code=2)
    return end


def alertmanager_in(stack: Stack) -> Alertmanager:
    """The stack's own. Raises OpsError where it runs none."""
    server = alertmanager_of(stack)
    if server is None:
        raise OpsError(
            "this stack runs no Alertmanager", "set monitoring.alertmanager.enabled, then `techsapo up`"
        )
    return server
