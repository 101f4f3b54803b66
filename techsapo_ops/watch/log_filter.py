"""Which log lines are shown: by level, by request, by a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NoReturn

from techsapo_ops.messages import msg
from techsapo_ops.stack.observed import LogLine

Level = Literal["error", "warn", "info", "debug"]
ORDER: tuple[Level, ...] = ("error", "warn", "info", "debug")
"""From the gravest down."""
_WORDS: dict[str, Level] = {
    "emerg": "error", "alert": "error", "crit": "error", "critical": "error", "fatal": "error",
    "error": "error", "err": "error", "warn": "warn", "warning": "warn",
    "notice": "info", "note": "info", "info": "info", "system": "info", "debug": "debug", "trace": "debug",
}  # fmt: skip
_LOGFMT = re.compile(r'\b(?:level|lvl)="?([A-Za-z]+)')
_BRACKETS = re.compile(r"\[([A-Za-z]+)\]")
_SUPERVISOR = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]{4,5}) ")
_WITH_SIGN = re.compile(r"^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) ")
_REQUEST = ("requestId", "request_id")
_TRACE = ("trace_id",)
_SIGNS: dict[str, Level] = {".": "debug", "-": "info", "*": "info", "#": "warn"}


def line_level(text: str) -> Level | None:
    """The level that a line says it has; None where it says none.

    Understood are JSON's "level", logfmt's `level=` (Prometheus, the exporters), a word in brackets (nginx,
    MariaDB), supervisord's fourth word, and Redis's sign.
    """
    entry = line_object(text)
    if entry is not None:
        return _WORDS.get(str(entry.get("level", "")).lower())
    signed = _WITH_SIGN.match(text)
    if signed is not None:
        return _SIGNS[signed[1]]
    for pattern in (_LOGFMT, _SUPERVISOR, _BRACKETS):
        match = pattern.search(text)
        if match is not None and match[1].lower() in _WORDS:
            return _WORDS[match[1].lower()]
    return None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The lines that are wanted: at least as grave as `level`, of `request`, of `trace`, like `pattern`."""

    level: Level | None = None
    request: str | None = None
    pattern: re.Pattern[str] | None = None
    trace: str | None = None

    def __bool__(self) -> bool:
        return any(wanted is not None for wanted in (self.level, self.request, self.pattern, self.trace))

    def of(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        """Those of `lines` that are wanted.

        A line without a level, such as one of a traceback, goes with the one before it of its service; a
        service's first lines without one count as info.
        """
        levels: dict[str, Level] = {}
        for line in lines:
            if self.level is not None:
                level = line_level(line.text) or (None if line.time else levels.get(line.service)) or "info"
                levels[line.service] = level
                if ORDER.index(level) > ORDER.index(self.level):
                    continue
            if self.request is not None and not _is_of(line.text, self.request, _REQUEST):
                continue
            if self.trace is not None and not _is_of(line.text, self.trace, _TRACE):
                continue
            if self.pattern is None or self.pattern.search(line.text):
                yield line


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


def _is_of(text: str, wanted: str, fields: tuple[str, ...]) -> bool:
    if wanted not in text:
        return False
    entry = line_object(text)
    if entry is not None:
        return any(entry.get(field) == wanted for field in fields)
    # Not as a part of a longer id.
    return re.search(rf"(?<![\w.-]){re.escape(wanted)}(?![\w.-])", text) is not None
