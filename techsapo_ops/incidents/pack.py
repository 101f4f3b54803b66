"""What was read, weighed: the evidence of an investigation, the strongest first, within a size. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.translations import Language
from techsapo_ops.incidents.candidates import candidates
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import LETTERS, Kind, Material, Subject, Unread

LONGEST = 1_500
"""Characters of a piece."""
_AGAIN = 0.9
"""What each piece that is taken leaves of the scores of its kind: after seven, half."""
_HEADER = 60
"""Bytes of a piece beside its text, as it is shown and sent."""
_MOST_LOOKED = 500
"""Candidates that are masked to see whether they fit: a stranger's bundle may have one for each line."""


def pack_of(material: Material, size: int, mask: Callable[[str], str], language: Language = "en") -> Pack:
    """The evidence in `material`, of at most `size` bytes, each text of it through `mask`.

    What people read first of a piece is in `language`; its text, which models read, is in English.

    The same material gives the same pack, whatever the order in which its parts were read.
    """
    pieces: list[Piece] = []
    numbers: Counter[Kind] = Counter()
    for candidate in islice(_ordered(candidates(material, language)), _MOST_LOOKED):
        text = _plain(mask(candidate.text))
        sample = _plain(mask(candidate.sample))
        room = size - len(f"{text}{sample}{candidate.source}".encode()) - _HEADER
        if room < 0:
            continue
        size = room
        numbers[candidate.kind] += 1
        pieces.append(
            replace(
                candidate,
                id=f"{LETTERS[candidate.kind]}{numbers[candidate.kind]}",
                text=text,
                score=round(candidate.score, 3),
                sample=sample,
                first=_plain(mask(candidate.first)),
            )
        )
    read, unread = _of_sources(material, mask)
    return Pack(_masked(material.subject, mask), tuple(pieces), read, unread)


def masked(material: Material, mask: Callable[[str], str]) -> Material:
    """`material` as it may be carried elsewhere: each text of it but the labels of series through `mask`."""
    read, unread = _of_sources(material, mask)
    return replace(
        material,
        subject=_masked(material.subject, mask),
        lines=tuple(replace(line, text=mask(line.text)) for line in material.lines),
        changes=tuple(replace(c, text=mask(c.text), detail=mask(c.detail)) for c in material.changes),
        facts=tuple(replace(fact, value=mask(fact.value)) for fact in material.facts),
        pages=tuple(replace(page, text=mask(page.text)) for page in material.pages),
        earlier=tuple(replace(e, summary=mask(e.summary), cause=mask(e.cause)) for e in material.earlier),
        read=read,
        unread=unread,
    )


def leaving(pack: Pack, may_leave: Mapping[str, str]) -> Pack:
    """What of `pack` may be sent: `may_leave` by service, as the spec has it; default: patterns.

    Samples stay behind unless they may leave; where nothing may, so does every piece of the logs.
    """
    pieces = []
    for piece in pack.pieces:
        may = may_leave.get(piece.service, "patterns")
        if piece.kind == "logs" and may == "nothing":
            continue
        pieces.append(piece if may == "samples" else replace(piece, sample=""))
    return replace(pack, pieces=tuple(pieces))


def _ordered(given: Iterable[Piece]) -> Iterator[Piece]:
    """The strongest first; each that is taken weakens the rest of its kind, lest it crowd out others."""
    kinds: dict[Kind, deque[Piece]] = {}
    for one in sorted(given, key=lambda one: (-one.score, one.service, one.text, one.sample)):
        kinds.setdefault(one.kind, deque()).append(one)
    taken: Counter[Kind] = Counter()
    while kinds:
        kind = max(kinds, key=lambda kind: (kinds[kind][0].score * _AGAIN ** taken[kind], kind))
        yield kinds[kind].popleft()
        taken[kind] += 1
        if not kinds[kind]:
            del kinds[kind]


def _plain(text: str) -> str:
    return harmless(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _of_sources(material: Material, mask: Callable[[str], str]) -> tuple[tuple[str, ...], tuple[Unread, ...]]:
    """What was read and what was not; the URL of a source may hold a login."""
    unread = (Unread(mask(each.source), mask(each.reason)) for each in material.unread)
    return tuple(map(mask, material.read)), tuple(unread)


def _masked(subject: Subject, mask: Callable[[str], str]) -> Subject:
    return replace(
        subject,
        summary=mask(subject.summary),
        question=mask(subject.question),
        labels={name: mask(value) for name, value in subject.labels.items()},
    )
