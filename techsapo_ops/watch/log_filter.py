"""Which log lines are shown: by level, by request, by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from techsapo_ops.adapters.log_lines import ORDER, Level, line_level, line_object
from techsapo_ops.stack.observed import LogLine

_REQUEST = ("requestId", "request_id")
_TRACE = ("trace_id",)


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


def _is_of(text: str, wanted: str, fields: tuple[str, ...]) -> bool:
    if wanted not in text:
        return False
    entry = line_object(text)
    if entry is not None:
        return any(entry.get(field) == wanted for field in fields)
    # Not as a part of a longer id.
    return re.search(rf"(?<![\w.-]){re.escape(wanted)}(?![\w.-])", text) is not None
