"""How services, sizes and ages look on the terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from techsapo_ops.stack.observed import ObservedService


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
        "replaced": service.replaced or None,
    }
