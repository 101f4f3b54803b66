"""Rich, without what a terminal takes for orders in its texts, and with tables that fit their terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from typing_extensions import override

from techsapo_ops.adapters.line_breaks import wrapped
from techsapo_ops.adapters.terminal import harmless

_READABLE = 16
"""Cells that a column of sentences wants at least."""
_GAP = 3
_INDENT = 4


class HarmlessConsole(Console):
    """A console whose texts are harmless, whatever they come from; its own colours and moves stay."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every text that is printed comes by here."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                style = segment.style
                yield Segment(harmless(segment.text), style.update_link(None) if style else style)


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and its style as rich has them."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class FoldingTable:
    """A table: cells fold between words, and a cell without room moves below its row.

    `right` are the numbers of the columns that are aligned right.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: frozenset[int] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        widths = self._widths(options.max_width)
        below = [number for number in range(len(self.headings)) if number not in widths]
        yield from self._line(widths, [Cell(heading, "bold") for heading in self.headings])
        for row in self.rows:
            yield from self._line(widths, row)
            for number in below:
                yield from self._below(row[number], self.headings[number], options.max_width)

    def _widths(self, room: int) -> dict[int, int]:
        """The widths of the columns side by side: the widest one is narrowed as far as it can be read, and
        moved below its row where that is not enough.
        """
        widths = {number: self._natural(number) for number in range(len(self.headings))}
        while len(widths) > 1:
            over = sum(widths.values()) + _GAP * (len(widths) - 1) - room
            if over <= 0:
                return widths
            widest = max(list(widths)[1:], key=widths.__getitem__)
            if widest not in self.right and widths[widest] - over >= _READABLE:
                return {**widths, widest: widths[widest] - over}
            del widths[widest]
        return {number: min(width, room) for number, width in widths.items()}

    def _natural(self, number: int) -> int:
        cells = (row[number].text for row in self.rows)
        return max(
            cell_len(line) for text in (self.headings[number], *cells) for line in text.splitlines() or [""]
        )

    def _line(self, widths: dict[int, int], row: Sequence[Cell]) -> Iterator[Text]:
        columns = [wrapped(row[number].text, width) for number, width in widths.items()]
        for parts in zip_longest(*columns, fillvalue=""):
            line = Text(no_wrap=True, overflow="ignore")
            for (number, width), part in zip(widths.items(), parts, strict=True):
                space = " " * (width - cell_len(part))
                line.append(space if number in self.right else "")
                line.append(part, row[number].style)
                line.append(("" if number in self.right else space) + " " * _GAP)
            line.rstrip()
            yield line

    def _below(self, cell: Cell, heading: str, room: int) -> Iterator[Text]:
        if cell.text in {"", "-"}:
            return
        for line in wrapped(f"{heading}: {cell.text}" if heading else cell.text, room - _INDENT):
            yield Text(" " * _INDENT + line, style=cell.style, no_wrap=True)
