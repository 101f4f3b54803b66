"""Which log lines are shown: by level, by request, by a regular expression."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

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
_SIGNS: dict[str, Level] = {".": "debug", "-": "info", "*": "info", "#": "warn"}


def line_level(text: str) -> Level | None:
    """The level that a line says it has; None where it says none.

    Understood are JSON's "level", logfmt's `level=` (Prometheus, the exporters), a word in brackets (nginx,
    MariaDB), supervisord's fourth word, and Redis's sign.
    """
    if text.startswith("{"):
        return _WORDS.get(str(_object(text).get("level", "")).lower())
    signed = _WITH_SIGN.match(text)
    if signed is not None:
        return _SIGNS[signed[1]]
    for pattern in (_LOGFMT, _SUPERVISOR, _BRACKETS):
        found = pattern.search(text)
        if found is not None and found[1].lower() in _WORDS:
            return _WORDS[found[1].lower()]
    return None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The lines that are wanted: at least as grave as `level`, of `request`, matching `pattern`."""

    level: Level | None = None
    request: str | None = None
    pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return self.level is not None or self.request is not None or self.pattern is not None

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
            if self.request is not None and not _is_of(line.text, self.request):
                continue
            if self.pattern is None or self.pattern.search(line.text):
                yield line


def _is_of(text: str, request: str) -> bool:
    if request not in text:
        return False
    if text.startswith("{"):
        told = _object(text)
        return request in (told.get("requestId"), told.get("request_id"))
    # Not as a part of a longer id.
    return re.search(rf"(?<![\w.-]){re.escape(request)}(?![\w.-])", text) is not None


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
