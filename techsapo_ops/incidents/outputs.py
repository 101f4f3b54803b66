"""What a check printed, as a person hands it in: another piece of evidence, and causes that it rules out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.checks import checks
from techsapo_ops.catalogue.topics import plain
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import LETTERS
from techsapo_ops.incidents.verdict import Struck, Verdict, topics_of

LONGEST = 4_000
"""Characters of an output that are kept: its beginning."""


def with_output(
    pack: Pack, argv: Sequence[str], output: str, at: datetime, mask: Callable[[str], str]
) -> Pack:
    """`pack` with what the command `argv` printed at `at` as its first piece, of the kind host.

    Nobody knows yet what it says, and it was asked for: it counts as much as the strongest piece.
    """
    letter = LETTERS["host"]
    number = max((int(p.id[1:]) for p in pack.pieces if p.id[0] == letter), default=0) + 1
    score = max((piece.score for piece in pack.pieces), default=0.0)
    text = mask(harmless(output))[:LONGEST]
    return replace(
        pack, pieces=(Piece(f"{letter}{number}", "host", " ".join(argv), text, score, at), *pack.pieces)
    )


def struck_by(check: str, output: str, verdict: Verdict, reason: str) -> tuple[Struck, ...]:
    """The causes of `verdict` that what `check` printed rules out, of those that it was to test."""
    tested = {place for each in verdict.checks if each.check == check for place in each.tests}
    causes = (cause for place, cause in enumerate(verdict.causes) if place in tested)
    return tuple(
        Struck(cause.cause, cause.service, cause.evidence, reason)
        for cause in causes
        if checks()[check].rules_out(topics_of(cause), plain(output))
    )
