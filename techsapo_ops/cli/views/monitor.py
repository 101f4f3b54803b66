"""The screen of `monit`: services, one of them chosen, and the log of that one below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.language import spoken, spoken_words
from techsapo_ops.cli.output import state_style
from techsapo_ops.cli.state_words import state_word
from techsapo_ops.cli.views.log_lines import LogView
from techsapo_ops.cli.views.services import age, size
from techsapo_ops.messages import msg, template

if TYPE_CHECKING:
    from techsapo_ops.operations.watch.usage import Reading
    from techsapo_ops.stack.observed import LogLine

_HEADINGS = (template("MEMORY"), template("REQ/S"))
COLUMNS = ("SERVICE", "STATE", "PID", "CPU", "MEMORY", "RESTARTS", "UPTIME", "REQ/S")
RIGHT = ("PID", "CPU", "MEMORY", "RESTARTS", "UPTIME", "REQ/S")
HOST = "HOST"
"""The column of a stack on several hosts, behind the service."""
_DROPPED = ("PID", "RESTARTS", "REQ/S", "UPTIME", "MEMORY", "CPU", "STATE")
"""What a narrow terminal leaves out, the first one first."""
_GAP = 3
_FEWEST_LOG_LINES = 3
_HELP = (
    msg("arrows or j k   choose a service"),
    msg("l or Enter      its log, or no log"),
    msg("r               restart it; you are asked first"),
    msg("Esc             back"),
    msg("q or Ctrl-C     end"),
)


@dataclass(frozen=True, slots=True)
class Board:
    """What is shown. `chosen` is a service's name, `asked` the one whose restart is asked about.

    `told` is the last thing there is to say, such as how a restart ended; `grave` where it is bad news.
    """

    readings: tuple[Reading, ...] = ()
    chosen: str = ""
    log: bool = False
    lines: tuple[LogLine, ...] = ()
    asked: str = ""
    help: bool = False
    told: str = ""
    grave: bool = False
    keys: bool = True

    def with_readings(self, readings: tuple[Reading, ...]) -> Board:
        """The same with what was read now; one that is gone leaves the choice to its neighbour."""
        names = [reading.service for reading in readings]
        if self.chosen in names or not names:
            return replace(self, readings=readings)
        return replace(self, readings=readings, chosen=names[min(self.place, len(names) - 1)], lines=())

    @property
    def place(self) -> int:
        """Number of the chosen service, from 0."""
        names = [reading.service for reading in self.readings]
        return names.index(self.chosen) if self.chosen in names else 0

    def moved(self, by: int) -> Board:
        """With another service chosen, `by` places further down; the ends hold."""
        if not self.readings:
            return self
        place = min(max(self.place + by, 0), len(self.readings) - 1)
        chosen = self.readings[place].service
        return self if chosen == self.chosen else replace(self, chosen=chosen, lines=())


def columns(readings: Sequence[Reading]) -> tuple[str, ...]:
    """The columns of a table of them: with the host where there are several."""
    return (COLUMNS[0], HOST, *COLUMNS[1:]) if any(reading.host for reading in readings) else COLUMNS


def cells(reading: Reading, *, host: bool = False) -> tuple[object, ...]:
    """One service's cells of the table; with that of its `host`."""
    cpu, rate = reading.cpu_percent, reading.requests_per_second
    return (
        reading.service,
        *([reading.host or "-"] if host else []),
        reading.state,
        reading.pid or "-",
        "-" if cpu is None else f"{cpu:.1f} %",
        size(reading.memory_bytes),
        reading.restarts,
        age(reading.started),
        "-" if rate is None else f"{rate:.1f}",
    )


def drawn(board: Board, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` cells each."""
    if width < 1 or height < 1:
        return []
    foot = _foot(board)
    room = height - 1
    body: list[Text] = []
    if board.help:
        body = [_said(line) for line in _HELP][:room]
    elif room > 0:
        table = _rows(board, width)
        # With a log, the table has what it needs up to the half, and the log the rest.
        most = room if not board.log else max(2, min(len(table), room // 2, room - _FEWEST_LOG_LINES))
        body = _window(table, board.place, most)[:room]
        if board.log and (rest := room - len(body)) > 1:
            body += [_title(board, width), *_log(board, rest - 1)]
    body += [Text()] * (room - len(body))
    return [_cut(line, width) for line in (*body, foot)]


def _window(table: list[Text], place: int, most: int) -> list[Text]:
    """The heading and those rows around the chosen one that there is room for."""
    head, rows = table[0], table[1:]
    room = max(most - 1, 1)
    first = min(max(place - room // 2, 0), max(len(rows) - room, 0))
    return [head, *rows[first : first + room]]


def _rows(board: Board, width: int) -> list[Text]:
    words, names = spoken_words(), columns(board.readings)
    plain = [tuple(map(str, cells(r, host=HOST in names))) for r in board.readings]
    state = names.index("STATE")
    table = [
        tuple(map(words, names)),
        *(
            tuple(harmless(spoken(state_word(cell)) if n == state else cell) for n, cell in enumerate(each))
            for each in plain
        ),
    ]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(names))]
    kept = _kept(names, widths, width - 2)
    lines = []
    for number, row in enumerate(table):
        chosen = number > 0 and row[0] == board.chosen
        line = Text("> " if chosen and board.keys else "  ", style="bold" if number == 0 or chosen else "")
        for column in kept:
            text = row[column]
            space = " " * (widths[column] - cell_len(text))
            style = state_style(plain[number - 1][column]) if number else ""
            line.append(space + text if names[column] in RIGHT else text + space, style)
            line.append(" " * _GAP)
        lines.append(line)
    return lines


def _kept(names: Sequence[str], widths: Sequence[int], width: int) -> list[int]:
    """Columns that there is room for; a service's name is always there."""
    kept = list(range(len(names)))
    for name in _DROPPED:
        if sum(widths[column] for column in kept) + _GAP * (len(kept) - 1) <= width:
            break
        kept.remove(names.index(name))
    return kept


def _title(board: Board, width: int) -> Text:
    title = _said(msg("log of {service}", service=board.chosen))
    return Text(f"── {title} {'─' * width}", style="dim")


def _log(board: Board, room: int) -> list[Text]:
    if not board.lines:
        return [_said(msg("nothing is logged"), "dim")]
    found: list[Text] = []
    for text in LogView([board.chosen]).of(board.lines[-room:]):
        found.extend(text.split("\n"))
    return found[-room:]


def _foot(board: Board) -> Text:
    if board.asked:
        return _said(
            msg("restart {service}? y restarts it, any other key does not", service=board.asked), "bold"
        )
    if board.help:
        return _said(msg("any key: back"), "dim")
    if board.told:
        return _said(board.told, "bold red" if board.grave else "bold")
    if not board.readings:
        return _said(msg("no service of this stack runs"), "yellow")
    if not board.keys:
        return _said(msg("Ctrl-C ends"), "dim")
    return _said(msg("j k choose   l log   r restart   ? help   q end"), "dim")


def _cut(line: Text, width: int) -> Text:
    """At most `width` cells; a wide character that has room for its half alone is left out."""
    line = line.copy()
    line.expand_tabs(8)
    line.truncate(width, overflow="crop")
    return line


def _said(text: str, style: str = "") -> Text:
    return Text(harmless(spoken(text)).partition("\n")[0], style=style)
