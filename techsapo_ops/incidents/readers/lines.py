"""Lines of any log as evidence has them: within the window, warnings or worse where the log says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.adapters.log_lines import Level as Said
from techsapo_ops.adapters.log_lines import line_level, line_object
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.incidents.material import Level, Line

MOST_LINES = 4_000
"""Lines of one log: those nearest to the beginning of the alert, errors before all others."""
LONGEST = 2_000
"""Characters of a line."""
_SAYS = ("message", "msg", "event", "error", "err", "reason", "exception")
"""Fields of a structured line that say what happened, in the order in which they are read."""
_LOGFMT = re.compile(r'(?:\w{1,30}=(?:"[^"]{0,200}"|[^\s"]{0,200}) ){0,6}level=\w')
_FIELD = re.compile(r'\b(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')
_LEVELS: Mapping[Said | None, Level] = {"error": "error", "warn": "warning", None: ""}


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, both included; `began` is the moment that counts most."""

    start: datetime
    end: datetime
    began: datetime


def lines_of(
    texts: Iterable[tuple[datetime | None, str, Said | None]],
    window: Window,
    *,
    service: str = "",
    host: str = "",
) -> tuple[Line, ...]:
    """The lines of one log that are evidence, in their order.

    `texts` has of each its time, text and level, where the log itself has them apart from the text. A line
    without a time, such as one of a traceback, goes with the one before it.
    """
    chosen: list[Line] = []
    at: datetime | None = None
    level: Said | None = None
    for when, text, said in texts:
        text = text.rstrip()
        own = said or line_level(text)
        if when is not None:
            at, level = when, own
        else:
            level = own or level
        if at is None or not window.start <= at <= window.end or level not in _LEVELS or not text:
            continue
        chosen.append(Line(at, harmless(said_in(text)[:LONGEST]), service, host, _LEVELS[level]))
    return _nearest(chosen, window.began)


def said_in(text: str) -> str:
    """What a line of JSON or logfmt says, without its other fields; any other line as it is."""
    entry = line_object(text)
    if entry is not None:
        words = [str(entry[name]) for name in _SAYS if isinstance(entry.get(name), str | int | float)]
        return ": ".join(filter(None, words)) or text
    if not _LOGFMT.match(text):
        return text
    fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(text) if name in _SAYS}
    return ": ".join(fields[name].replace('\\"', '"') for name in _SAYS if fields.get(name)) or text


def _nearest(lines: list[Line], began: datetime) -> tuple[Line, ...]:
    if len(lines) <= MOST_LINES:
        return tuple(lines)
    ranked = sorted(range(len(lines)), key=lambda n: (lines[n].level != "error", abs(lines[n].at - began)))
    return tuple(lines[n] for n in sorted(ranked[:MOST_LINES]))
