"""Who grades whom under which name, and what of a reply is believed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.examination import Candidate
from techsapo_ops.wallbounce.grades import ClaimGrade, Grade, Grades, Peer, Score, Stance

LONGEST_EVIDENCE = 500
LONGEST_COMMAND = 500
MOST_COMMANDS = 20
HIGHEST = 4


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one grader gets: anonymous peers in a shuffled order, and which answer each of them is."""

    grader: int
    peers: tuple[Peer, ...]
    subjects: tuple[int, ...]


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
        made.append(Sheet(grader, peers, tuple(subjects)))
    return tuple(made)


def believed(sheet: Sheet, grades: Grades) -> dict[int, Grade]:
    """The grades of a reply by subject: the first one of each peer that fits its claims and the scale.

    A reply is untrusted: unknown labels, a grade with more or fewer claims than the peer has, and scores
    beyond 0 to 4 are left out, as if they had not been given.
    """
    labelled = dict(zip((p.label for p in sheet.peers), sheet.subjects, strict=True))
    claims = {p.label: len(p.claims) for p in sheet.peers}
    found: dict[int, Grade] = {}
    for grade in grades.grades:
        subject = labelled.get(grade.label)
        if subject is None or subject in found or not _fits(grade, claims[grade.label]):
            continue
        found[subject] = _bounded_grade(grade)
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


def _fits(grade: Grade, claims: int) -> bool:
    scores = (grade.correctness.value, grade.safety.value, grade.completeness.value)
    return (
        len(grade.claims) == claims
        and all(0 <= value <= HIGHEST for value in scores)
        and all(isinstance(c.stance, Stance) for c in grade.claims)
    )


def _bounded_grade(grade: Grade) -> Grade:
    scores = (grade.correctness, grade.safety, grade.completeness)
    longest = max(len(e) for e in (*(s.evidence for s in scores), *(c.evidence for c in grade.claims)))
    if longest <= LONGEST_EVIDENCE:
        return grade
    return replace(
        grade,
        claims=tuple(ClaimGrade(c.stance, c.evidence[:LONGEST_EVIDENCE]) for c in grade.claims),
        correctness=_trim(grade.correctness),
        safety=_trim(grade.safety),
        completeness=_trim(grade.completeness),
    )


def _trim(score: Score) -> Score:
    return replace(score, evidence=score.evidence[:LONGEST_EVIDENCE])
