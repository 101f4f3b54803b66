"""Absent is absent: what a grader leaves out is asked for once more, then counts for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rows import each_row
from scripted import Purse, Scripted, climbing, graded, orchestrator
from virtual import run

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer, Grade, Grades, Peer, Stance, Tokens
from techsapo_ops.wallbounce.context import AskedAgain, Event, Failed
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.verdict.verdict import Outcome

QUESTION = Question("ディスクが一杯です", "ja", "req-1")
DISK = "ディスクの空き容量が尽きています。/varが大きいです。ログが原因です。"
E, C = Stance.ENTAILS, Stance.CONTRADICTS
Change = Callable[[int, Grade], Grade | None]
"""What becomes of a grade in the grader's first, second, … reply: None leaves it out."""


class Patchy(Scripted):
    """Grades as Scripted does, and leaves out what `change` says."""

    def __init__(self, name: str, text: str, change: Change) -> None:
        super().__init__(name, text)
        self._change = change

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        made = await super().grade(question, peers, own)
        number = len(self.shown)
        kept = (self._change(number, grade) for grade in made.grades)
        grades = tuple(grade for grade in kept if grade is not None)
        if not grades:
            raise ProviderError(FailureKind.BAD_ANSWER, "the grades can't be read")
        return replace(made, grades=grades)


def nothing(_: int, __: Grade) -> None:
    """Never a grade."""


def second(number: int, grade: Grade) -> Grade | None:
    """A grade when asked once more."""
    return grade if number > 1 else None


def without(*claims: int, ever: bool = False) -> Change:
    """Leave these claims out of the first reply, or of all."""

    def change(number: int, grade: Grade) -> Grade:
        if number > 1 and not ever:
            return grade
        kept = tuple(None if n in claims else c for n, c in enumerate(grade.claims))
        return replace(grade, claims=kept)

    return change


def ask(*voices: Scripted, payer: Purse | None = None) -> tuple[Analysis, list[Event]]:
    bounce, events = orchestrator(*voices)
    return asyncio.run(bounce.analyse(QUESTION, "basic", payer=payer)), events


def again(events: Sequence[Event]) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.provider, e.subjects) for e in events if isinstance(e, AskedAgain)]


def test_two_identical_answers_with_a_grade_missing_are_no_split_and_nobody_dissents() -> None:
    analysis, events = ask(Patchy("a", DISK, nothing), Scripted("b", DISK))
    verdict = analysis.verdict
    assert {"not_compared", "grading_incomplete"} <= set(verdict.notes)
    assert not {"split", "consensus_below_threshold"} & set(verdict.notes)
    assert analysis.dissent == ()
    assert set(verdict.relations) == {True, None}
    assert again(events) == [("a", ("b",))]
    assert not verdict.accepted


def test_without_any_grade_nothing_is_accepted_and_nothing_is_called_low() -> None:
    analysis, _ = ask(Patchy("a", DISK, nothing), Patchy("b", DISK, nothing))
    verdict = analysis.verdict
    assert (verdict.outcome, verdict.agreement) == (Outcome.REFUSED, 0.0)
    assert {"not_compared", "not_graded", "grading_incomplete"} <= set(verdict.notes)
    assert not {"split", "grade_below_threshold"} & set(verdict.notes)
    assert "比べられません" in analysis.text
    assert len(analysis.hypotheses) == 2, "what each says is shown, for nobody knows that they agree"


def test_what_a_grader_left_out_is_asked_for_once_more_and_then_counts() -> None:
    voices = Patchy("a", DISK, second), Scripted("b", DISK)
    analysis, events = ask(*voices)
    assert analysis.verdict.accepted
    assert "grading_incomplete" not in analysis.verdict.notes
    assert again(events) == [("a", ("b",))]
    assert [len(v.shown) for v in voices] == [2, 1]
    assert not analysis.later_failures
    # The first of the two was answered too, in its way: the vendor bills both.
    assert analysis.cost_usd == pytest.approx(sum(a.cost_usd for a in analysis.answers) + 2 * 0.00007)


def test_only_what_is_missing_is_asked_for_again() -> None:
    voices = Patchy("a", DISK, without(1)), Scripted("b", DISK), Scripted("c", DISK)
    ask(*voices)
    first, then = voices[0].shown
    assert [len(p.claims) for p in first] == [3, 3]
    assert [p.claims for p in then] == [("/varが大きいです。",)] * 2
    assert [p.text for p in then] == [p.text for p in first]


def test_a_missing_score_is_asked_for_without_the_claims_and_the_first_ones_stand() -> None:
    def change(number: int, grade: Grade) -> Grade:
        if number == 1:
            return replace(grade, safety=None)
        return graded(grade.label, [], (0, 3, 0))

    voices = Patchy("a", DISK, change), Scripted("b", DISK)
    analysis, _ = ask(*voices)
    assert [p.claims for p in voices[0].shown[1]] == [()]
    (given,) = (r.grade for r in analysis.reviews if r.grader == "a")
    assert [s and s.value for s in given.scores] == [4, 3, 4]
    assert given.whole


def test_it_is_not_asked_again_where_that_can_not_be_afforded() -> None:
    payer = Purse(allows=False)
    voices = Patchy("a", DISK, without(0, ever=True)), Scripted("b", DISK)
    analysis, events = ask(*voices, payer=payer)
    assert again(events) == []
    assert len(voices[0].shown) == 1
    assert payer.asked[0] > 0
    assert "grading_incomplete" in analysis.verdict.notes


@each_row("first, again_, asked", [(12.0, 0.0, 0), (0.0, 1e6, 1)], ids=["no time left", "the second hangs"])
def test_a_second_call_is_made_where_there_is_time_and_ends_with_the_phase(
    first: float, again_: float, asked: int
) -> None:
    class Slow(Patchy):
        async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
            await asyncio.sleep(again_ if self.shown else first)
            return await super().grade(question, peers, own)

    voices = Slow("a", DISK, without(0)), Scripted("b", DISK)
    voices[0].timeout = 1e7
    bounce, events = orchestrator(*voices, deadline=30.0)
    analysis, seconds = run(bounce.analyse(QUESTION, "basic"))
    assert seconds < 30
    assert len(again(events)) == asked
    assert [e.failure.kind for e in events if isinstance(e, Failed)] == ["timeout"] * asked
    (given,) = (r.grade for r in analysis.reviews if r.grader == "a")
    assert given.stances == (None, E, E), "what came first stands"


def test_an_answer_that_was_not_compared_counts_as_one_that_did_not_come() -> None:
    """`c` grades nobody, and nobody grades `c`."""

    class Blind(Scripted):
        async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
            known = [p for p in peers if not p.text.endswith("c")]
            if self.name == "c" or not known:
                raise ProviderError(FailureKind.BAD_ANSWER, "the grades can't be read")
            return await super().grade(question, known, own)

    three, _ = ask(Blind("a", DISK), Blind("b", DISK), Blind("c", f"{DISK}c"))
    two, _ = ask(Scripted("a", DISK), Scripted("b", DISK))
    scores = [(a.verdict.agreement, a.verdict.confidence, a.verdict.consensus) for a in (three, two)]
    assert scores[0] == scores[1] == (1.0, 0.92, 1.0)
    assert three.verdict.relations == (True, True, None)
    assert three.dissent == ()


def test_a_provider_that_cannot_be_compared_is_a_reason_to_ask_another() -> None:
    bounce, _ = climbing(Patchy("a", DISK, nothing), Scripted("b", DISK), Scripted("c", DISK))
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert analysis.escalations[0].reason == "not_compared"
    assert analysis.verdict.accepted
    assert analysis.dissent == ()


def test_a_claim_that_somebody_leaves_open_is_not_added_as_undisputed() -> None:
    class Silent(Scripted):
        """Holds the first three claims of anybody, and says of a fourth what `last` says."""

        def __init__(self, name: str, text: str, last: Stance | None) -> None:
            super().__init__(name, text)
            self._last = last

        async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
            given = []
            for peer in peers:
                last = peer.text.endswith("再起動します。")
                stances = [self._last if claim == "再起動します。" else E for claim in peer.claims]
                given.append(graded(peer.label, stances, (3, 3, 3) if last else (4, 4, 4)))
            return Grades(self.name, self.model, tuple(given), Tokens(), 0.0, 0.0)

    def added(last: Stance | None) -> int:
        voices = (
            Silent("a", DISK, Stance.SILENT),
            Silent("b", DISK, E),
            Silent("c", f"{DISK}再起動します。", None),
        )
        analysis, _ = ask(*voices, Silent("d", DISK, last))
        assert analysis.answer.provider == "a"
        return len(analysis.amendments)

    assert [added(last) for last in (E, Stance.SILENT, None, C)] == [1, 1, 0, 0]
