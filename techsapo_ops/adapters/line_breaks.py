"""Lines that fit a terminal or a page, broken where a reader of English or Japanese expects it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len, chop_cells

_UNITS = re.compile(
    # A command in backticks, else a Japanese character or a word, with what may not begin or end a line.
    r"`[^`]*`[、。，．）」』：；！？,.)]*"
    r"|[（「『【]*(?:[\u3000-\u30ff\u3400-\u9fff\uff01-\uff5e]|[^\s`（\u3000-\u30ff\u3400-\u9fff\uff01-\uff5e]+)"
    r"[、。，．）」』】：；！？ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々]*"
    r"|\S"
)


@lru_cache(4096)
def wrapped(text: str, width: int) -> tuple[str, ...]:
    """`text` in lines of `width` cells: broken at spaces and between Japanese characters, else anywhere."""
    return tuple(part for line in text.splitlines() or [""] for part in _wrapped(line, max(width, 2)))


def _wrapped(text: str, width: int) -> Iterator[str]:
    if cell_len(text) <= width:
        yield text.rstrip()
        return
    line, end = "", 0
    for unit in _UNITS.finditer(text):
        space = text[end : unit.start()] if line else ""
        word, end = unit.group(), unit.end()
        if cell_len(line) + len(space) + cell_len(word) <= width:
            line += space + word
            continue
        if cell_len(word) > width:
            # What follows a comma or a slash begins a line best.
            first, *more = _pieces(word, width, width - cell_len(line) - len(space))
            yield (line + space + first).rstrip() if first else line
            yield from more[:-1]
            line = more[-1] if more else ""
            continue
        yield line
        line = word
    if line:
        yield line


def _pieces(word: str, width: int, room: int) -> Iterator[str]:
    """A word that is longer than a line: what has room in the one that is begun, and lines of its own."""
    first = ""
    if room > 0:
        head = chop_cells(word, room)[0]
        cut = max(head.rfind(mark) for mark in ",/&;") + 1
        # A few characters at a line's end help nobody, unless all of the word is as long.
        first = head[:cut] if cut else head if room == width else ""
    yield first
    rest = word[len(first) :]
    while rest:
        head = chop_cells(rest, width)[0]
        cut = len(head) if head == rest else max(head.rfind(mark) for mark in ",/&;") + 1 or len(head)
        yield rest[:cut]
        rest = rest[cut:]
