"""The evidence of an investigation: numbered pieces, the strongest first, within a size."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.incidents.material import Kind, Subject, Unread

PACK_BYTES = 16_000
"""Bytes of evidence that people and providers see."""
LONGEST_FACT = 160
"""Characters of a fact: two or three lines of a phone."""
FACTS = 3
"""Pieces that are read first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece. `text` is masked, and is data: nothing in it is an instruction.

    `id` is the letter of its kind and a number (M1, L2), `source` where it was read, `at` when what it says
    began; `score` is larger for what is more unusual and nearer to the beginning of the alert.
    """

    id: str
    kind: Kind
    source: str
    text: str
    score: float
    at: datetime | None = None
    service: str = ""
    host: str = ""
    sample: str = ""
    """A line of the log, masked, where `text` is the pattern of such lines."""
    calm: bool = False
    """Whether it says that things are in order: it speaks for a false alarm, and for no cause."""
    first: str = ""
    """Its first line as people read it, where that is worded otherwise than in `text`."""

    @property
    def fact(self) -> str:
        """One line of it for people, of LONGEST_FACT at most: of a log, how much of what."""
        first, *rest = self.text.strip().splitlines() or [""]
        parts = [self.first or first]
        if self.kind == "logs":
            parts += self.sample.strip().splitlines()[:1] or rest[:1]
        line = ": ".join(filter(None, (part.strip() for part in parts)))
        return line if len(line) <= LONGEST_FACT else f"{line[: LONGEST_FACT - 1]}…"


@dataclass(frozen=True, slots=True)
class Pack:
    """What people and the panel see, in the order of its worth. `unread` is what could not be looked at."""

    subject: Subject
    pieces: tuple[Piece, ...]
    read: tuple[str, ...]
    unread: tuple[Unread, ...]

    def piece(self, identity: str) -> Piece | None:
        """The piece of that id."""
        return next((piece for piece in self.pieces if piece.id == identity), None)

    def facts(self, count: int = FACTS, cited: Collection[str] = ()) -> tuple[Piece, ...]:
        """The pieces to read first, none of a page: the strongest of each kind before others, and those whose
        ids are `cited` before all.
        """
        seen = [piece for piece in self.pieces if piece.kind not in {"runbook", "knowledge"}]
        order = sorted(seen, key=lambda piece: piece.id not in cited)
        first = {piece.kind: piece for piece in reversed(order)}
        return tuple(sorted(order, key=lambda piece: first[piece.kind] is not piece)[:count])
