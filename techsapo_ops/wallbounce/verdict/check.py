"""What one model makes of another's answer without an answer of its own, and what a verdict takes from it.

The checker grades as it would in a panel. That costs one call. Its own blind answer and both gradings would
cost three, which is what `basic` asks; `python -m tests.bench cascade` prints both.
"""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.wallbounce.answers import Grade, Objection, Review, Stance
from techsapo_ops.wallbounce.examination.claims import ENTAILED, entailed_share, entails
from techsapo_ops.wallbounce.examination.examination import Candidate
from techsapo_ops.wallbounce.verdict.verdict import Evidence


@dataclass(frozen=True, slots=True)
class Check:
    """Who checked an answer, and the grade; None where there is none that could be read."""

    provider: str
    model: str
    grade: Grade | None
    version: str = ""

    def evidence(self, candidate: Candidate) -> Evidence:
        """What a verdict on the checked answer is made from: the checker counts as a second voice.

        What can't be undone caps nothing here: it goes to the panel, whatever the checker says.
        """
        grade = self.grade or Grade("", ())
        agrees = False if candidate.manipulation else entails(grade, candidate.critical)
        if self.grade is None:
            agrees = None
        share = None if agrees is None else entailed_share(grade)
        consensus = share if agrees or share is None else min(share, ENTAILED)
        return Evidence(
            count=2,
            chosen=0,
            cluster=(0, 1) if agrees else (0,),
            consensus=consensus,
            grade=grade.mean,
            relations=(True, agrees),
            graders=int(grade.correctness is not None),
            contradicted=any(
                grade.stances[claim] is Stance.CONTRADICTS
                for claim in candidate.critical
                if claim < len(grade.claims)
            ),
            manipulation=candidate.manipulation,
            ungraded=not grade.whole,
            scores=() if grade.mean is None else ((1, grade.mean),),
            closeness=() if consensus is None else ((0, 1, consensus),),
            self_confidence=candidate.answer.self_confidence,
        )

    def reviews(self, candidate: Candidate) -> tuple[Review, ...]:
        """The grade with its names."""
        if self.grade is None:
            return ()
        return (Review(self.provider, candidate.answer.provider, candidate.claims, self.grade),)

    def objections(self, candidate: Candidate) -> tuple[Objection, ...]:
        """The claims that the checker contradicts."""
        given = () if self.grade is None else self.grade.claims
        return tuple(
            Objection(
                candidate.answer.provider,
                candidate.claims[number],
                ((self.provider, claim.evidence.strip()),),
                number in candidate.critical,
            )
            for number, claim in enumerate(given)
            if claim is not None and claim.stance is Stance.CONTRADICTS
        )
