"""Who grades whom under which name, and what of a reply is believed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.examination import Candidate
from techsapo_ops.wallbounce.grades import HIGHEST, ClaimGrade, Grade, Grades, Peer, Score, Stance

LONGEST_EVIDENCE = 500
LONGEST_COMMAND = 500
MOST_COMMANDS = 20


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

    A reply is untrusted: unknown labels, a grade with more or fewer claims than were shown, stances that are
    none and scores beyond 0 to 4 are left out, as if they had not been given.
    """
    places = {p.label: place for place, p in enumerate(sheet.peers)}
    found: dict[int, Grade] = {}
    for grade in grades.grades:
        place = places.get(grade.label)
        if place is None or len(grade.claims) != len(sheet.shown[place]):
            continue
        claims: list[ClaimGrade | None] = [None] * sheet.whole[place]
        for number, claim in zip(sheet.shown[place], grade.claims, strict=True):
            if claim is not None and isinstance(claim.stance, Stance):
                claims[number] = ClaimGrade(claim.stance, claim.evidence[:LONGEST_EVIDENCE])
        made = Grade(grade.label, tuple(claims), *map(_bounded_score, grade.scores))
        if any(made.claims) or any(made.scores):
            found.setdefault(sheet.subjects[place], made)
    return found


def bounded(answer: Answer) -> Answer:
    """`answer` with its lists and fields cut to what is passed on."""
    cause = answer.root_cause.strip()[:LONGEST_EVIDENCE]
    commands = tuple(c.strip()[:LONGEST_COMMAND] for c in answer.commands if c.strip())[:MOST_COMMANDS]
    if (cause, commands) == (answer.root_cause, answer.commands):
        return answer
    return replace(answer, root_cause=cause, commands=commands)


def _peer(label: str, candidate: Candidate) -> Peer:
    """The answer without its author; its claims are those that count, also where the text was plain."""
    answer = candidate.answer
    return Peer(label, answer.text, answer.root_cause, candidate.claims, answer.commands)


def _bounded_score(score: Score | None) -> Score | None:
    if score is None or not 0 <= score.value <= HIGHEST:
        return None
    if len(score.evidence) <= LONGEST_EVIDENCE:
        return score
    return replace(score, evidence=score.evidence[:LONGEST_EVIDENCE])
