"""What several commands read out of an option's text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


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
            raise OpsError(
                msg("--since {text}: that long ago there was no log", text=text), exit_code=2
            ) from None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise OpsError(
            msg("--since {text}: neither an age nor a time", text=text),
            msg("write e.g. 90s, 1h, 2d or 2026-01-31T08:00"),
            exit_code=2,
        ) from None


def time_of(option: str, text: str) -> datetime:
    """An ISO date or time (local without a zone), in UTC.

    Raises OpsError with exit code 2 for anything else.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day have no time in every zone
        raise OpsError(
            msg("{option}: {text} is not a time", option=option, text=repr(text)),
            msg("write e.g. 2026-01-31T14:05:00 or 2026-01-31T14:05:00+09:00"),
            exit_code=2,
        ) from None
