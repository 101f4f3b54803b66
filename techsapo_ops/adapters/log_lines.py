"""What a log line says of itself: when it was written, and how grave it is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from math import isfinite
from typing import Any, Literal, NoReturn

from techsapo_ops.messages import msg

Level = Literal["error", "warn", "info", "debug"]
ORDER: tuple[Level, ...] = ("error", "warn", "info", "debug")
"""From the gravest down."""
_WORDS: Mapping[str, Level] = {
    "emerg": "error", "alert": "error", "crit": "error", "critical": "error", "fatal": "error",
    "panic": "error", "error": "error", "err": "error", "severe": "error", "warn": "warn", "warning": "warn",
    "notice": "info", "note": "info", "info": "info", "system": "info", "debug": "debug", "trace": "debug",
}  # fmt: skip
_LOGFMT_LEVEL = re.compile(r'\b(?:level|lvl|severity)="?([A-Za-z]+)')
_BRACKETS = re.compile(r"\[(?:[a-z_]+:)?([A-Za-z]+)\]")  # Apache's names its module, too
_AFTER_TIME = re.compile(  # supervisord, log4j, PostgreSQL and what else writes the word by itself
    r"^\[?\d{4}-\d\d-\d\d[T ]\S{5,40}(?: [A-Z]{3}\b)?(?: - |[ \t]|\[[^\]]{0,80}\]){1,6}([A-Z]{4,8})\b"
    r"|^([A-Z]{4,8}):"
)
_GLOG = re.compile(r"^([IWEF])\d{4} (\d\d:\d\d:\d\d)")
_GLOG_WORDS: Mapping[str, Level] = {"I": "info", "W": "warn", "E": "error", "F": "error"}
_WITH_SIGN = re.compile(r"^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) ")
_SIGNS: Mapping[str, Level] = {".": "debug", "-": "info", "*": "info", "#": "warn"}

_ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ]+(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"
)
_JSON = re.compile(r'"@?(?:timestamp|time|ts)"\s*:\s*(?:"([^"]+)"|(\d{9,13}(?:\.\d+)?)\s*[,}])')
_LOGFMT = re.compile(r'\b(?:ts|time)="?(\d{4}-[^\s"]+)')
_DAY_MONTH_YEAR = re.compile(r"^\d+:[A-Z] (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d)\.(\d{3})")
_ACCESS = re.compile(r"\[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
_SYSLOG = re.compile(r"^(?:<\d{1,3}>)?(\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {m: n for n, m in enumerate(_MONTH_NAMES, 1)}
_YEARS = range(MINYEAR + 1, MAXYEAR)
"""Of a time that exists in every zone: what is logged may begin with any date."""
_MILLISECONDS = 1e11
"""A number from here on is no Unix time in seconds, but one in milliseconds."""
_AHEAD = timedelta(days=1)
"""How far ahead a time without a year may be; one that is further was last year's."""


def line_time(text: str) -> datetime | None:
    """When a log line was written, as it says itself; None where it says nothing that is understood.

    Understood are a JSON "timestamp", "time" or "ts", logfmt's `ts=` or `time=`, an ISO-like time at the
    start (MariaDB, nginx, supervisord), Redis's own form, syslog's without a year (RFC 3164), and that of
    access logs in brackets. A time without zone is taken as local.
    """
    if text.startswith("{"):
        match = _JSON.search(text)
        if match is None:
            return None
        return _iso(match[1]) if match[1] is not None else _of_unix(float(match[2]))
    leading = _iso(text.removeprefix("["))
    if leading is not None:
        return leading
    if (written := _DAY_MONTH_YEAR.match(text)) is not None:
        day, month, *rest, milli = written.groups()
        return _named(month, day, (*rest, str(int(milli) * 1000)))
    if (written := _SYSLOG.match(text)) is not None:
        return _of_this_year(*written.groups())
    if (written := _ACCESS.search(text[:300])) is not None:
        day, month, *rest, zone = written.groups()
        return _named(month, day, (*rest, "0"), zone)
    match = _LOGFMT.search(text)
    return _iso(match[1]) if match else None


def _named(month: str, day: str, rest: tuple[str, ...], zone: str | None = None) -> datetime | None:
    """The time of a day in a month by its English name; `rest` is year, hour, minute, second, microsecond."""
    if month not in _MONTHS:
        return None
    year, hour, minute, second, micro = map(int, rest)
    return _aware((year, _MONTHS[month], int(day), hour, minute, second, micro), zone)


def _of_this_year(month: str, day: str, hour: str, minute: str, second: str) -> datetime | None:
    now = datetime.now(UTC)
    for year in (now.astimezone().year, now.astimezone().year - 1):
        made = _named(month, day.strip(), (str(year), hour, minute, second, "0"))
        if made is not None and made <= now + _AHEAD:
            return made
    return None


def _of_unix(number: float) -> datetime:
    return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS else number, UTC)


def _iso(text: str) -> datetime | None:
    match = _ISO.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micro = int((fraction or "0").ljust(6, "0")[:6])
    return _aware((int(year), int(month), int(day), int(hour), int(minute), int(second), micro), zone)


def _aware(parts: tuple[int, int, int, int, int, int, int], zone: str | None) -> datetime | None:
    if parts[0] not in _YEARS:
        return None
    try:
        naive = datetime(*parts)
        if zone is None:
            return naive.astimezone()
        if zone == "Z":
            return naive.replace(tzinfo=UTC)
        return datetime.fromisoformat(f"{naive.isoformat()}{zone}")
    except ValueError:  # the digits are no date
        return None


def line_level(text: str) -> Level | None:
    """The level that a line says it has; None where it says none.

    Understood are JSON's "level" or "severity", logfmt's `level=` (Prometheus, the exporters), a word in
    brackets (nginx, MariaDB, Apache), a word in capitals behind the time (supervisord, log4j) or before a
    colon (Python), glog's first letter, and Redis's sign.
    """
    entry = line_object(text)
    if entry is not None:
        return _WORDS.get(str(entry.get("level", entry.get("severity", ""))).lower())
    if (signed := _WITH_SIGN.match(text)) is not None:
        return _SIGNS[signed[1]]
    if (letter := _GLOG.match(text)) is not None:
        return _GLOG_WORDS[letter[1]]
    for pattern in (_LOGFMT_LEVEL, _AFTER_TIME, _BRACKETS):
        match = pattern.search(text)
        word = next(filter(None, match.groups()), "").lower() if match is not None else ""
        if word in _WORDS:
            return _WORDS[word]
    return None


def line_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a line is; None for any other line.

    NaN and infinite numbers are no JSON, though Python reads them.
    """
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):  # RecursionError: brackets within brackets, thousands of them
        return None
    return value if isinstance(value, dict) else None


def _finite(digits: str) -> float:
    value = float(digits)
    return value if isfinite(value) else _refuse(digits)


def _refuse(word: str) -> NoReturn:
    raise ValueError(msg("{word} is not a number in JSON", word=word))
