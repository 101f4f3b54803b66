"""Cron expressions as calendar events of systemd (systemd.time(7))."""

from __future__ import annotations

import re

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?", re.ASCII)


def calendar_events(expression: str) -> tuple[str, ...]:
    """The events at which cron would run `expression`; two where it gives both a day and a weekday.

    Cron is content with either of those two, systemd wants both. Raises OpsError for an expression with
    words that only the stack's own scheduler knows, such as `last`.
    """
    try:
        minute, hour, day, month, weekday = (
            _numbers(_named(field, number), *_RANGES[number])
            for number, field in enumerate(expression.lower().split())
        )
    except ValueError as error:
        raise OpsError(
            msg(
                'systemd has no calendar event for "{expression}": {error}',
                expression=expression,
                error=error,
            ),
            msg("write it with numbers, or set `schedule.by: service`"),
        ) from None
    weekdays = None if weekday is None else sorted({number % 7 for number in weekday})
    fields = expression.split()
    if day is not None and weekdays is not None and not (fields[2][0] == "*" or fields[4][0] == "*"):
        return (
            _event(None, month, day, hour, minute),
            _event(weekdays, month, None, hour, minute),
        )
    return (_event(weekdays, month, day, hour, minute),)


def _event(
    weekdays: list[int] | None,
    month: list[int] | None,
    day: list[int] | None,
    hour: list[int] | None,
    minute: list[int] | None,
) -> str:
    names = "" if weekdays is None else ",".join(_WEEKDAYS[n] for n in weekdays) + " "
    return f"{names}*-{_list(month)}-{_list(day)} {_list(hour)}:{_list(minute)}:00"


def _list(numbers: list[int] | None) -> str:
    return "*" if numbers is None else ",".join(f"{number:02d}" for number in numbers)


def _named(field: str, number: int) -> str:
    names = {3: _MONTHS, 4: tuple(day.lower() for day in _WEEKDAYS)}.get(number, ())
    first = 1 if number == 3 else 0
    for offset, name in enumerate(names, first):
        field = re.sub(rf"\b{name}\b", str(offset), field)
    return field


def _numbers(field: str, low: int, high: int) -> list[int] | None:
    """The numbers that a field selects, None for all of them. Raises ValueError for words it has."""
    if field == "*":
        return None
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r}")
        start, end, step = match.groups()
        # A star of weekdays ends at Saturday: 7 is Sunday again.
        top = min(high, 6) if low == 0 and high == 7 else high
        first = low if start == "*" else int(start)
        last = top if start == "*" or (step and not end) else int(end or start)
        if not low <= first <= last <= high:
            raise ValueError(f"{part!r}")
        found.update(range(first, last + 1, int(step or 1)))
    return sorted(found)
