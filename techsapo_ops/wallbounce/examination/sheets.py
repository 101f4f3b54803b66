"""Who grades whom under which name, and what of a reply is believed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from techsapo_ops.wallbounce.examination.examination import Candidate
from techsapo_ops.wallbounce.examination.grades import ClaimGrade, Grade, Grades, Peer


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one grader gets: anonymous peers in a shuffled order, which answer each of them is.

    A first sheet shows all claims. One for what a reply left out shows those alone.
    """

    grader: int
    peers: tuple[Peer, ...]
    subjects: tuple[int, ...]
    shown: tuple[tuple[int, ...], ...]
    """By peer, the numbers of the claims that it is shown with."""
    whole: tuple[int, ...]
    """By peer, how many claims the answer has."""

    def rest(self, given: Mapping[int, Grade]) -> Sheet | None:
        """The sheet with what `given`, the grades by subject, lacks; None where nothing is missing."""
        kept: list[int] = []
        peers, shown = [], []
        for place, subject in enumerate(self.subjects):
            grade = given.get(subject)
            if grade is not None and grade.whole:
                continue
            lacking = [n for n in self.shown[place] if grade is None or grade.claims[n] is None]
            texts = dict(zip(self.shown[place], self.peers[place].claims, strict=True))
            kept.append(place)
            shown.append(tuple(lacking))
            peers.append(replace(self.peers[place], claims=tuple(texts[n] for n in lacking)))
        if not kept:
            return None
        subjects = tuple(self.subjects[p] for p in kept)
        return Sheet(self.grader, tuple(peers), subjects, tuple(shown), tuple(self.whole[p] for p in kept))


def sheets(
    candidates: Sequence[Candidate], pairs: Iterable[tuple[int, int]], draw: random.Random
) -> tuple[Sheet, ...]:
    """One sheet for each grader of `pairs` (grader, subject). Nobody grades itself.

    Order and labels are drawn anew for each grader, so that neither says anything of the author.
    """
    by_grader: dict[int, list[int]] = {}
    for grader, subject in pairs:
        if grader != subject:
            by_grader.setdefault(grader, []).append(subject)
    made = []
    for grader in sorted(by_grader):
        subjects = sorted(by_grader[grader])
        draw.shuffle(subjects)
        peers = tuple(
            _peer(chr(ord("A") + place), candidates[subject]) for place, subject in enumerate(subjects)
        )
        whole = tuple(len(p.claims) for p in peers)
        made.append(Sheet(grader, peers, tuple(subjects), tuple(tuple(range(n)) for n in whole), whole))
    return tuple(made)


def believed(sheet: Sheet, grades: Grades) -> dict[int, Grade]:
    """The grades of a reply by subject: the first one of each peer that runs along the claims it was shown.

    Unknown labels, and grades with more or fewer claims than were shown, are left out.
    """
    places = {p.label: place for place, p in enumerate(sheet.peers)}
    found: dict[int, Grade] = {}
    for grade in grades.grades:
        place = places.get(grade.label)
        if place is None or len(grade.claims) != len(sheet.shown[place]):
            continue
        claims: list[ClaimGrade | None] = [None] * sheet.whole[place]
        for number, claim in zip(sheet.shown[place], grade.claims, strict=True):
            claims[number] = claim
        found.setdefault(sheet.subjects[place], replace(grade, claims=tuple(claims)))
    return found


def _peer(label: str, candidate: Candidate) -> Peer:
    """The answer without its author; its claims are those that count, also where the text was plain."""
    answer = candidate.answer
    return Peer(label, answer.text, answer.root_cause, candidate.claims, answer.commands)
