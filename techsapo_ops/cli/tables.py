"""Tables that fit their terminal: cells fold between words, and what has no room stands below its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from techsapo_ops.adapters.line_breaks import wrapped

_LONGEST_NAME = 32
"""Cells of a first column that are never broken over two lines: it is copied into the next command."""
_READABLE = 16
"""Cells that a column of sentences wants at least."""
_GAPS = (3, 2)
_INDENT = 4
_WORSE = 0.3
"""How many lines of a row it is worth to keep a column in its place."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and its style as rich has them."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as rich prints it. `right` are the numbers of the columns that are aligned right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: frozenset[int] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield from self._drawn(self._best(options.max_width), options.max_width)

    def _best(self, room: int) -> _Layout:
        """The layout of the fewest lines; a column that is moved below its row counts a little."""
        known = [layout for below in self._choices() if (layout := self._layout(below, room)) is not None]
        if not known:
            widest = self._natural(0)
            return _Layout((0,), {0: min(widest, room)}, _GAPS[0], tuple(range(1, len(self.headings))))
        if len(known) == 1 or not known[0].folds:
            return known[0]
        return min(known, key=lambda each: self._lines(each, room))

    def _choices(self) -> Iterator[frozenset[int]]:
        """Which columns might stand below their row: none, one, or the widest ones."""
        yield frozenset()
        others = sorted(range(1, len(self.headings)), key=self._natural, reverse=True)
        for number in others:
            if self._natural(number) > _READABLE:
                yield frozenset({number})
        for count in range(2 if others and self._natural(others[0]) > _READABLE else 1, len(others)):
            yield frozenset(others[:count])

    def _layout(self, below: frozenset[int], room: int) -> _Layout | None:
        """The widths of the columns that are not `below`; None where there is no room for them."""
        kept = tuple(number for number in range(len(self.headings)) if number not in below)
        least = {number: self._least(number) for number in kept}
        for gap in _GAPS:
            free = room - gap * (len(kept) - 1)
            if sum(least.values()) > free:
                continue
            widths = {number: self._natural(number) for number in kept}
            folds = sum(widths.values()) > free
            while (over := sum(widths.values()) - free) > 0:
                _narrow(widths, least, over)
            return _Layout(kept, widths, gap, tuple(sorted(below)), folds=folds)
        return None

    def _natural(self, number: int) -> int:
        cells = (row[number].text for row in self.rows)
        return max(
            cell_len(line) for text in (self.headings[number], *cells) for line in text.splitlines() or [""]
        )

    def _least(self, number: int) -> int:
        natural = self._natural(number)
        if number == 0:
            return min(natural, _LONGEST_NAME)
        return natural if number in self.right else min(natural, _READABLE)

    def _lines(self, layout: _Layout, room: int) -> float:
        count = 0.0
        for row in self.rows:
            count += max(len(wrapped(row[number].text, layout.widths[number])) for number in layout.kept)
            count += sum(len(wrapped(self._below(row, n), room - _INDENT)) for n in _told(row, layout.below))
        return count + _WORSE * len(layout.below) * len(self.rows)

    def _below(self, row: Sequence[Cell], number: int) -> str:
        heading, text = self.headings[number], row[number].text
        return f"{heading}: {text}" if heading else text

    def _drawn(self, layout: _Layout, room: int) -> Iterator[Text]:
        yield from self._line(layout, [Cell(heading, "bold") for heading in self.headings])
        for row in self.rows:
            yield from self._line(layout, row)
            for number in _told(row, layout.below):
                for line in wrapped(self._below(row, number), room - _INDENT):
                    yield Text(" " * _INDENT + line, style=row[number].style, no_wrap=True)

    def _line(self, layout: _Layout, row: Sequence[Cell]) -> Iterator[Text]:
        columns = [wrapped(row[number].text, layout.widths[number]) for number in layout.kept]
        for parts in zip_longest(*columns, fillvalue=""):
            line = Text(no_wrap=True, overflow="ignore")
            for number, part in zip(layout.kept, parts, strict=True):
                space = " " * (layout.widths[number] - cell_len(part))
                line.append(space if number in self.right else "")
                line.append(part, row[number].style)
                line.append(("" if number in self.right else space) + " " * layout.gap)
            line.rstrip()
            yield line


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which columns stand side by side, how wide, and which below their row."""

    kept: tuple[int, ...]
    widths: dict[int, int]
    gap: int
    below: tuple[int, ...]
    folds: bool = True


def _narrow(widths: dict[int, int], least: dict[int, int], over: int) -> None:
    """Take from the widest columns that are wider than their least, until they are as the next one."""
    spare = {number: width for number, width in widths.items() if width > least[number]}
    widest = max(spare.values())
    chosen = [number for number, width in spare.items() if width == widest]
    floor = max([w for w in spare.values() if w < widest] + [least[number] for number in chosen])
    step = max(1, min(widest - floor, over // len(chosen)))
    for number in chosen[: max(1, over)]:
        widths[number] -= step


def _told(row: Sequence[Cell], below: Iterable[int]) -> Iterator[int]:
    return (number for number in below if row[number].text not in {"", "-"})
