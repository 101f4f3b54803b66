"""When the jobs of the spec run next."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import trigger


def next_run(expression: str, now: datetime, zone: tzinfo | str) -> datetime | None:
    """The first run after `now` (an aware time), by the clock of `zone`; None for one such as 30 February.

    A time that the change to summer time leaves out comes as much later as the clock jumps. Of an hour that
    the change back repeats both may run.
    """
    found: Any = trigger(expression, zone).get_next_fire_time(now, now)
    return found.astimezone(UTC).astimezone(now.tzinfo) if isinstance(found, datetime) else None


def local_zone() -> tzinfo:
    """The host's time zone. Raises OpsError when it can't be told, e.g. for a TZ that does not exist."""
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise OpsError(
            msg("the host's time zone can't be told: {error}", error=error), msg("set TZ, e.g. Asia/Tokyo")
        ) from None
