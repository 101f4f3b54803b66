"""Lines that a terminal and a mail show whole, in both languages. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence

COLUMNS = 78
"""RFC 5322, 2.1.1: what a line of a mail should not exceed."""
_OPENING, _CLOSING = "（「『", "、。，．）」』：；！？ー…"
"""What ends no line, and what begins none: JIS X 4051."""
_COMMAS = (",", ";", "、", "。")
_PIECE = re.compile(rf"[{_OPENING}]*(?:[!-~]+|[^ ])[{_CLOSING}]* *")


def width(text: str) -> int:
    """Columns of `text` on a terminal; what is wide in some fonts alone counts as wide."""
    return sum(_columns(each) for each in text)


def wrapped(line: str, most: int = COLUMNS, indent: str = "") -> Iterator[str]:
    """`line` in parts of at most `most` columns, those after the first behind `indent`.

    It breaks after a comma, else at spaces and between Japanese characters; a longer word is cut.
    """
    text = line.lstrip(" ")
    lead, pieces = line[: len(line) - len(text)], deque(_pieces(text, most - width(indent)))
    if not pieces:
        yield line
    while pieces:
        taken: list[str] = []
        while pieces and width(lead + "".join(taken) + pieces[0].rstrip()) <= most:
            taken.append(pieces.popleft())
        if pieces:
            back = len(taken) - _after_comma(taken)
            pieces.extendleft(taken.pop() for _ in range(back))
        yield (lead + "".join(taken)).rstrip()
        lead = indent


def _pieces(text: str, most: int) -> Iterator[str]:
    """Between which a line may break; spaces belong to what is before them."""
    for piece in _PIECE.findall(text):
        part = ""
        for each in piece:
            if part and width((part + each).rstrip()) > most:
                yield part
                part = ""
            part += each
        yield part


def _after_comma(taken: Sequence[str]) -> int:
    """How many of these stay, so that the line ends with a comma, if it is still half full then; else all."""
    full, kept = width("".join(taken)), len(taken)
    while kept and width("".join(taken[:kept])) > full / 2:
        if taken[kept - 1].rstrip().endswith(_COMMAS):
            return kept
        kept -= 1
    return len(taken)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WFA" else 1
