"""Log lines for a person on a terminal, and as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.watch.log_filter import line_level, line_object

if TYPE_CHECKING:
    from rich.text import Text

    from techsapo_ops.stack.observed import LogLine

LONGEST = 2000
"""Characters of one value that a terminal is shown; pipes and --json have all of it."""
_COLOURS = ("cyan", "green", "magenta", "blue", "bright_cyan", "bright_magenta")
"""Of the services. Red and yellow say how grave a line is."""
_LEVELS = {"error": "bold red", "warn": "yellow", "info": "", "debug": "dim"}
_TIME = len("2026-01-31 12:00:00")
_SHOWN_ALREADY = ("timestamp", "time", "ts", "level", "message", "msg", "instance")
_APART = ("exception",)
"""Fields of several lines, which are shown below the others."""


def line_document(line: LogLine) -> dict[str, Any]:
    """A line as a JSON object, with the same keys for each.

    Of `line` and `text` one is null: a line that is a JSON object stands in `line` as that object, any other
    in `text`.
    """
    told = line_object(line.text)
    return {
        "time": line.time.isoformat() if line.time else None,
        "service": line.service,
        "level": line_level(line.text),
        "line": told,
        "text": line.text if told is None else None,
    }


class LogView:
    """Makes time, level, service and message of lines, each in its column."""

    def __init__(self, services: Sequence[str]) -> None:
        self._width = max((len(name) for name in services), default=0)
        self._colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(services)}

    def of(self, lines: Iterable[LogLine]) -> Iterator[Text]:
        """A text for each of `lines`, without what a terminal takes for orders."""
        for line in lines:
            yield self._shown(line)

    def _shown(self, line: LogLine) -> Text:
        from rich.text import Text

        when = f"{line.time.astimezone():%Y-%m-%d %H:%M:%S}" if line.time else ""
        level = line_level(line.text) or ""
        style = _LEVELS.get(level, "")
        name = harmless(line.service)
        head = Text.assemble(
            (f"{when:{_TIME}}", "dim"), " ", (f"{level:5}", style), " ",
            (f"{name:{self._width}}", self._colours.get(line.service, "")), " ",
        )  # fmt: skip
        told = line_object(line.text)
        if told is None:
            return head.append(_bounded(line.text), style)
        message, rest = _message(told)
        head.append(message, style)
        if rest:
            head.append(f"{' ' if message else ''}{rest}", "dim")
        for field in _APART:
            if field in told:
                head.append("\n" + _indented(_bounded(str(told[field]))), "dim")
        return head


def _message(told: dict[str, Any]) -> tuple[str, str]:
    """What a JSON line says, and its other fields as `name=value`."""
    message = next((told[name] for name in ("message", "msg") if name in told), "")
    rest = (
        f"{_bounded(name)}={_value(v)}" for name, v in told.items() if name not in _SHOWN_ALREADY + _APART
    )
    # A line feed of a client's text would else begin a line that looks like another service's.
    return _one_line(_bounded(_plain(message))), _one_line(_bounded(" ".join(rest)))


def _value(value: Any) -> str:
    text = _plain(value)
    bare = isinstance(value, str) and value and not any(c.isspace() or c in '"=' for c in value)
    return _bounded(text if bare or not isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ⏎ ").replace("\n", " ⏎ ")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _bounded(text: str) -> str:
    shown = harmless(text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text)} characters; --json has all)"
