"""What was read, weighed: the evidence of an investigation, the strongest first, within a size. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.incidents.candidates import Candidate, candidates
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import LETTERS, Kind, Material, Subject

LONGEST = 1_500
"""Characters of a piece."""
_AGAIN = 0.86
"""What each piece that is taken leaves of the scores of its kind: after four, half."""
_SAME_SERVICE = 0.94
"""The same for pieces of its kind and service."""
_HEADER = 60
"""Bytes of a piece beside its text, as it is shown and sent."""


def pack_of(material: Material, size: int, mask: Callable[[str], str]) -> Pack:
    """The evidence in `material`, of at most `size` bytes, each text of it through `mask`.

    The same material gives the same pack, whatever the order in which its parts were read.
    """
    pieces: list[Piece] = []
    numbers: Counter[Kind] = Counter()
    for candidate in _ordered(candidates(material)):
        text = _plain(mask(candidate.text))
        sample = _plain(mask(candidate.sample))
        room = size - len(f"{text}{sample}{candidate.source}".encode()) - _HEADER
        if room < 0:
            continue
        size = room
        numbers[candidate.kind] += 1
        pieces.append(
            Piece(
                f"{LETTERS[candidate.kind]}{numbers[candidate.kind]}",
                candidate.kind,
                candidate.source,
                text,
                round(candidate.score, 3),
                candidate.at,
                candidate.service,
                candidate.host,
                sample,
                candidate.calm,
            )
        )
    return Pack(_masked(material.subject, mask), tuple(pieces), material.read, material.unread)


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


def _ordered(given: Iterable[Candidate]) -> Iterable[Candidate]:
    """The strongest first; what is taken weakens what is like it, so that no kind crowds out the others."""
    left = sorted(given, key=lambda one: (-one.score, one.kind, one.service, one.text, one.sample))
    kinds: Counter[Kind] = Counter()
    services: Counter[tuple[Kind, str]] = Counter()
    by_group: dict[tuple[Kind, str], list[Candidate]] = {}
    for one in left:
        by_group.setdefault((one.kind, one.service), []).append(one)
    while by_group:
        group = max(
            by_group,
            key=lambda key: (
                by_group[key][0].score * _AGAIN ** kinds[key[0]] * _SAME_SERVICE ** services[key],
                key,
            ),
        )
        chosen = by_group[group].pop(0)
        if not by_group[group]:
            del by_group[group]
        kinds[group[0]] += 1
        services[group] += 1
        yield chosen


def _plain(text: str) -> str:
    return harmless(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _masked(subject: Subject, mask: Callable[[str], str]) -> Subject:
    return replace(
        subject,
        summary=mask(subject.summary),
        question=mask(subject.question),
        labels={name: mask(value) for name, value in subject.labels.items()},
    )
