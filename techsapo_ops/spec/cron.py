"""Cron expressions with the meaning of crontab(5), as APScheduler triggers."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger
    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def trigger(expression: str, zone: tzinfo | str) -> BaseTrigger:
    """A trigger for a five-field cron expression with the meaning that crontab(5) gives its fields.

    Two things differ in APScheduler: it counts weekdays from Monday where cron counts from Sunday, so
    numbers are turned into names first; and it wants day and weekday both to match where cron is content
    with either, once both are given. Raises ValueError for an expression that is none.
    """
    from apscheduler.triggers.combining import OrTrigger  # it brings asyncio, for commands that start no job
    from apscheduler.triggers.cron import CronTrigger

    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(_wrong(expression))
    minute, hour, day, month, weekday = fields

    def each(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone)

    try:
        named = _named_weekdays(weekday)
        if day.startswith("*") or weekday.startswith("*"):
            return each(day, named)
        return OrTrigger([each(day, "*"), each("*", named)])
    except ValueError:
        raise ValueError(_wrong(expression)) from None


def next_run(expression: str, now: datetime, zone: tzinfo | str) -> datetime | None:
    """The first run after `now` (an aware time), by the clock of `zone`; None for one such as 30 February.

    A time that the change to summer time leaves out comes as much later as the clock jumps. Of an hour that
    the change back repeats both may run.
    """
    fires: Any = trigger(expression, zone).get_next_fire_time(now, now)
    return fires.astimezone(UTC).astimezone(now.tzinfo) if isinstance(fires, datetime) else None


def local_zone() -> tzinfo:
    """The host's time zone. Raises OpsError when it can't be told, e.g. for a TZ that does not exist."""
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise OpsError(
            msg("the host's time zone is not known: {error}", error=error),
            msg("set the environment variable TZ, e.g. TZ=Asia/Tokyo"),
        ) from None


def _wrong(expression: str) -> str:
    # APScheduler's own words are left out: they quote parts of a value that may come from a variable.
    return msg(
        "{expression} is not a cron expression; write five fields (minute, hour, day, month, "
        'weekday), e.g. "0 2 * * *"',
        expression=repr(expression),
    )


def _named_weekdays(field: str) -> str:
    """`0`, `1-5`, `*/2`, `7`, `5-7` in cron's numbers as lists of names."""
    parts = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if not low.isdigit() or (high and not high.isdigit()):
            parts.append(_stepped_star(step) if span == "*" and step.isdigit() else part)
            continue
        first = int(low)
        last = int(high) if high else (6 if step else first)
        if not (first <= last <= 7) or (step and (not step.isdigit() or int(step) == 0)):
            raise ValueError(msg("{part} is not a range of weekdays 0-7", part=repr(part)))
        parts += [_WEEKDAYS[number] for number in range(first, last + 1, int(step or 1))]
    return ",".join(dict.fromkeys(parts))


def _stepped_star(step: str) -> str:
    if int(step) == 0:
        raise ValueError(msg("the step must not be 0"))
    return ",".join(_WEEKDAYS[number] for number in range(0, 7, int(step)))
