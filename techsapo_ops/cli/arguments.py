"""What several commands read out of an option's text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

LENGTHS = msg("write e.g. 30m, 2h or 90d")
TIMES = msg("write e.g. 90s, 1h, 2d or 2026-01-31T08:00")


def span_of(option: str, text: str, hint: str = LENGTHS) -> timedelta:
    """A length of time such as `90s`, `1h30m` or `90d`.

    Raises OpsError with exit code 2 for anything else, and for one whose end no calendar holds.
    """
    from techsapo_ops.spec.models.base import seconds  # with all of the spec, which `logs` does without

    try:
        span = timedelta(seconds=seconds(text))
        _ = (datetime.now(UTC) + span, datetime.now(UTC) - span)
    except (ValueError, OverflowError) as error:
        # A ValueError hints at lengths of other things.
        what = str(error).partition("; ")[0] if isinstance(error, ValueError) else msg("that is too long")
        raise OpsError(
            msg("{option}: {what}", option=option, what=what),
            hint,
            exit_code=2,
        ) from None
    return span


def moment(text: str, now: datetime | None = None) -> datetime:
    """The time of `--since`: an age (`1h`, `1h30m`), or an ISO date or time (local without a zone).

    Raises OpsError with exit code 2 for anything else.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return (now or datetime.now(UTC)) - span_of("--since", text, TIMES)


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
