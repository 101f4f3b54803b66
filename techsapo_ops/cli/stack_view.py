"""How plans, services and times look on the terminal."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from techsapo_ops.cli.output import Output
    from techsapo_ops.operations.apply.origin import Origin
    from techsapo_ops.operations.apply.up import StackPlan
    from techsapo_ops.stack.engine import ObservedService, Step

_FEW_FILES = 12
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def age(started: datetime | None, now: datetime | None = None) -> str:
    """How long something runs: `42s`, `3m`, `2h 5m`, `4d 1h`; `-` when it does not."""
    if started is None:
        return "-"
    seconds = max(int(((now or datetime.now(UTC)) - started).total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def size(count: int | None) -> str:
    """Bytes for people: `91.3 MB` (powers of 1024); `-` when unknown."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def moment(text: str, now: datetime | None = None) -> datetime:
    """A time given as an age (`90s`, `1h`, `1h30m`) or as an ISO date or time (local without a zone).

    Raises OpsError with exit code 2 for anything else.
    """
    parts = _AGO.findall(text)
    if parts and "".join(n + unit for n, unit in parts) == text.replace(" ", ""):
        ago = sum(float(n) * _SECONDS[unit] for n, unit in parts)
        try:
            return (now or datetime.now(UTC)) - timedelta(seconds=ago)
        except OverflowError:
            raise OpsError(f"--since {text}: that long ago there was no log", exit_code=2) from None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise OpsError(
            f"--since {text}: neither an age nor a time",
            "write e.g. 90s, 1h, 2d or 2026-01-31T08:00",
            exit_code=2,
        ) from None


def show_plan(plan: StackPlan, out: Output, *, diff: bool = False) -> None:
    """Print what would change, on stdout: files first, then services with the reason of each step."""
    if plan.files:
        out.data(f"files below {plan.desired.topology.layout.config}:")
        few = len(plan.files) <= _FEW_FILES or diff or out.verbose
        if few:
            for change in plan.files:
                origin = in_brackets(plan.origins.files.get(change.path, ()))
                out.data(f"  {change.kind:8} {change.path}{origin}")
                if diff:
                    out.data(change.diff.rstrip("\n"))
        else:
            for kind, count in Counter(str(change.kind) for change in plan.files).items():
                out.data(f"  {kind:8} {count} files (--verbose names them)")
    steps = (*plan.beside, *plan.steps.changes)
    if steps:
        out.data("services:")
        width = max(len(step.service) for step in steps)
        for step in steps:
            origin = in_brackets(_origins(plan, step))
            out.data(f"  {step.action:8} {step.service:{width}}  {step.reason}{origin}")
    same = len(plan.steps.steps) - len(plan.steps.changes)
    if same and plan.changes:
        out.data("  1 service stays as it is" if same == 1 else f"  {same} services stay as they are")


def _origins(plan: StackPlan, step: Step) -> Sequence[Origin]:
    from techsapo_ops.operations.apply.origin import Origin

    return (Origin.VERSION,) if step in plan.beside else plan.origins.services.get(step.service, ())


def in_brackets(origins: Sequence[Origin]) -> str:
    """Where a change comes from, as an end of its line: `  (a new version, your spec)`."""
    return f"  ({', '.join(origin.words for origin in origins)})" if origins else ""


def plan_json(plan: StackPlan) -> dict[str, Any]:
    """A plan with stable keys."""
    return {
        "changes": plan.changes,
        "files": [
            {
                "path": c.path,
                "kind": str(c.kind),
                "diff": c.diff,
                "origin": [str(o) for o in plan.origins.files.get(c.path, ())],
            }
            for c in plan.files
        ],
        "steps": [
            {
                "action": str(s.action),
                "service": s.service,
                "reason": s.reason,
                "origin": [str(o) for o in _origins(plan, s)],
            }
            for s in (*plan.beside, *plan.steps.steps)
        ],
    }


def service_json(service: ObservedService, now: datetime) -> dict[str, Any]:
    """One service with stable keys."""
    return {
        "service": service.name,
        "kind": service.kind,
        "state": str(service.state),
        "pid": service.pid,
        "host": service.host,
        "port": service.port,
        "user": service.user,
        "uptime_seconds": int((now - service.started).total_seconds()) if service.started else None,
        "restarts": service.restarts,
        "exit_code": service.exit_code,
        "build": service.build or None,
    }
