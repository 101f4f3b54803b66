"""Cross-examination, bounces and escalations, step by step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rows import each_row
from scripted import Purse, Scripted, climbing, graded, never, orchestrator
from virtual import run

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Answer, Critique, Grades, Peer, Stance, Tokens
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.context import Answered, Escalated, Event, Graded, Settled
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import MAX_ANSWER
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer
from techsapo_ops.wallbounce.question import Question, TaskType
from techsapo_ops.wallbounce.verdict.verdict import Outcome

QUESTION = Question("ディスクが一杯です", "ja", "req-1")
DISK = "ディスクの空き容量が尽きています。「df -h」で確認してください。"
MEMORY = "OOMキラーがプロセスを終了させました。「dmesg -T」で確認してください。"
LONG = "ディスクの空き容量が尽きています。/varが大きいです。ログが原因です。書き込みは失敗します。"
E, C = Stance.ENTAILS, Stance.CONTRADICTS


class Doubter(Scripted):
    """Entails all claims but the last, which it contradicts until it reads a text with `wanted` in it."""

    def __init__(self, name: str, text: str, wanted: str, better: str = "") -> None:
        super().__init__(name, text)
        self._wanted = wanted
        self._better = better

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        grades = []
        for peer in peers:
            happy = self._wanted in peer.text
            stances = [E] * len(peer.claims) if happy else [*[E] * (len(peer.claims) - 1), C]
            grades.append(graded(peer.label, stances, (4, 4, 4) if happy else (1, 1, 1), "df shows 40 %"))
        return Grades(self.name, self.model, tuple(grades), Tokens(20, 5), 0.01, 0.0)

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        self.told.append(critiques)
        return replace(own, text=self._better) if self._better else own


def kinds(events: list[Event]) -> list[str]:
    revised = [isinstance(e, Answered) and e.phase == "revise" for e in events]
    return ["Revised" if again else type(e).__name__ for e, again in zip(events, revised, strict=True)]


def ask(bounce: WallBounce, tier: TaskType = "basic") -> Analysis:
    return asyncio.run(bounce.analyse(QUESTION, tier))


def test_nobody_grades_itself_and_labels_say_nothing_of_who_is_who() -> None:
    voices = [Scripted(n, f"{DISK}{n}") for n in ("alpha", "beta", "gamma")]
    bounce, _ = orchestrator(*voices)
    ask(bounce, "premium")
    for voice in voices:
        (peers,) = voice.shown
        assert len(peers) == 2
        assert sorted(p.label for p in peers) == ["A", "B"]
        assert all(not p.text.endswith(voice.name) for p in peers)
        assert all(p.claims for p in peers)


def test_the_order_in_which_peers_are_shown_follows_the_seed() -> None:
    def order(seed: int) -> list[str]:
        voices = [Scripted(n, f"{DISK}{n}") for n in "abcd"]
        bounce, _ = orchestrator(*voices, draw=lambda: random.Random(seed))
        ask(bounce, "critical")
        return ["".join(p.text[-1] for p in v.shown[0]) for v in voices]

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(8)}) > 4


def test_two_that_differ_climb_to_a_third_who_was_shown_nothing() -> None:
    voices = [Scripted("a", DISK), Scripted("b", MEMORY), Scripted("c", DISK), Scripted("d", DISK)]
    bounce, events = climbing(*voices)
    analysis = ask(bounce)
    first = next(e for e in events if isinstance(e, Escalated)).escalation
    assert (first.reason, first.tier, first.providers) == ("split", "premium", ("c",))
    assert [e.reason for e in analysis.escalations] == ["split", "consensus"]
    assert analysis.tier == "critical"
    assert analysis.answer.text == DISK
    assert kinds(events).index("Escalated") < kinds(events).index("Settled")
    assert [d.provider for d in analysis.dissent] == ["b"]
    assert "OOMキラー" in analysis.text
    told = [(e.grades.provider, s) for e in events if isinstance(e, Graded) for s in e.subjects]
    assert len(told) == len(set(told)) == 12, "nobody is asked to grade the same answer twice"


def test_contested_claims_alone_go_back_and_a_better_revision_takes_its_place() -> None:
    worse, better = f"{LONG}inodeが尽きています。", f"{LONG}inodeは足りています。"
    voices = [Doubter(n, worse, "足りて", better) for n in "abcd"]
    bounce, events = climbing(*voices)
    analysis = ask(bounce, "critical")
    assert [len(v.told) for v in voices] == [1] * 4
    (critique,) = voices[0].told[0]
    assert (critique.claim, critique.objection) == ("inodeが尽きています。", "df shows 40 %")
    assert all(b.kept and b.after is not None and b.after > b.before for b in analysis.bounces)
    assert analysis.answer.text == better
    assert analysis.verdict.outcome is Outcome.ACCEPTED
    unbounced, _ = climbing(*(Doubter(n, worse, "足りて", better) for n in "abcd"), max_bounces=0)
    was, became = ask(unbounced, "critical").verdict, analysis.verdict
    assert (was.agreement, was.consensus) == (became.agreement, became.consensus), "bouncing moves neither"
    assert [k for k in kinds(events) if k in {"Revised", "Bounced"}] == ["Revised"] * 4 + ["Bounced"] * 4


def test_a_revision_that_is_graded_no_better_is_dropped_and_bouncing_ends() -> None:
    worse = f"{LONG}inodeが尽きています。"
    voices = [Doubter(n, worse, "足りて", f"{worse}本当です。") for n in "abcd"]
    bounce, events = climbing(*voices)
    analysis = ask(bounce, "critical")
    assert [b.kept for b in analysis.bounces] == [False] * 4
    assert analysis.answer.text == worse
    assert kinds(events).count("Revised") == 4
    assert analysis.verdict.outcome is Outcome.UNSETTLED
    assert [o.claim for o in analysis.unsettled] == ["inodeが尽きています。"]
    assert "未確定の点" in analysis.text


def test_an_escalation_that_the_budget_does_not_allow_ends_in_a_refusal() -> None:
    payer = Purse(allows=False)
    voices = [Scripted("a", DISK), Scripted("b", MEMORY), Scripted("c", DISK)]
    bounce, _ = climbing(*voices)
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic", payer=payer))
    assert analysis.verdict.outcome is Outcome.REFUSED
    assert "refused_for_budget" in analysis.verdict.notes
    assert len(analysis.answers) == 2
    assert payer.asked[0] > 0
    assert {h.cause for h in analysis.hypotheses} == {DISK.split("「")[0], MEMORY.split("「")[0]}


def test_the_limit_of_one_request_holds_for_escalations_too() -> None:
    voices = [Scripted("a", DISK), Scripted("b", MEMORY), Scripted("c", DISK)]
    bounce, _ = climbing(*voices)
    enough = bounce.worst_case(QUESTION, "basic")
    voices[2].max_output_tokens = 4_000
    bounce, _ = climbing(*voices, per_request_usd=enough)
    assert "refused_for_budget" in ask(bounce).verdict.notes


def test_a_provider_that_is_left_alone_is_not_asked_where_another_is_well() -> None:
    voices = [Scripted("a", DISK), Scripted("b", DISK), Scripted("c", DISK)]
    bounce, _ = climbing(*voices, turn=lambda p: Turn.RESTING if p.name == "a" else Turn.WELL)
    assert [a.provider for a in ask(bounce).answers] == ["b", "c"]


def test_fewer_than_two_healthy_providers_are_refused_honestly() -> None:
    bounce, _ = climbing(
        Scripted("a", DISK), Scripted("b", DISK), turn=lambda p: Turn.WELL if p.name == "a" else Turn.RESTING
    )
    analysis = ask(bounce)
    assert analysis.verdict.outcome is Outcome.REFUSED
    assert "refused_too_few_providers" in analysis.verdict.notes
    assert "df -h" not in analysis.text, "a refusal hands out no command"


@each_row("hanging", ["answer", "grade", "revise"])
def test_whatever_hangs_the_analysis_ends_before_its_deadline(hanging: str) -> None:
    class Hanging(Doubter):
        async def answer(self, question: Question) -> Answer:
            if hanging == "answer" and self.name != "a":
                await never()
            return await super().answer(question)

        async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
            if hanging == "grade":
                await never()
            return await super().grade(question, peers, own)

        async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
            await never()
            return own

    voices = [Hanging(n, f"{LONG}inodeが尽きています。", "足りて") for n in "abcd"]
    for voice in voices:
        voice.timeout = 1000.0
    bounce, _ = climbing(*voices, deadline=30.0)
    analysis, seconds = run(bounce.analyse(QUESTION, "critical"))
    assert seconds < 30
    assert not analysis.verdict.accepted
    assert bool(analysis.failures) is (hanging == "answer")
    assert bool(analysis.later_failures) is (hanging != "answer")


@each_row("phase, ends", [("answer", ["Began"]), ("grade", ["Answered", "Answered", "Began"])])
def test_cancelling_an_analysis_cancels_every_call_under_way(phase: str, ends: list[str]) -> None:
    class Stuck(Scripted):
        async def call(self, ask: Ask) -> Any:
            if isinstance(ask, AskAnswer) is (phase == "answer"):
                try:
                    await never()
                except asyncio.CancelledError:
                    self.cancelled = True
                    raise
            return await super().call(ask)

    async def main() -> None:
        voices = [Stuck(n, DISK) for n in "ab"]
        bounce, events = orchestrator(*voices)
        task = asyncio.create_task(bounce.analyse(QUESTION, "basic"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(v.cancelled for v in voices)
        assert kinds(events)[-2 - len(ends) :] == [*ends, "Cancelled", "Cancelled"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_grades_that_do_not_fit_are_left_out() -> None:
    class Lying(Scripted):
        async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
            peer = peers[0]
            grades = (
                graded("Q", [E] * len(peer.claims), (4, 4, 4)),
                graded(peer.label, [E] * (len(peer.claims) + 1), (4, 4, 4)),
                graded(peer.label, [E] * len(peer.claims), (3, None, 3)),
                graded(peer.label, [C] * len(peer.claims), (1, 1, 1)),
                graded(peer.label, [E] * len(peer.claims), (4, 4, 4)),
            )
            return Grades(self.name, self.model, grades, Tokens(), 0.0, 0.0)

    bounce, _ = orchestrator(Lying("a", DISK), Scripted("b", DISK))
    given = {r.grader: r.grade for r in ask(bounce).reviews}
    # The first that fits, not the last or the best.
    assert [s and s.value for s in given["a"].scores] == [3, None, 3]
    assert [s and s.value for s in given["b"].scores] == [4, 4, 4]


def failing(kind: FailureKind, retry_after: float | None = None) -> Scripted:
    async def fail() -> str:
        raise ProviderError(kind, f"it was {kind}", retry_after=retry_after)

    return Scripted(f"bad-{kind}", fail)


def test_providers_are_asked_at_once() -> None:
    async def main() -> None:
        meeting = asyncio.Barrier(3)

        async def meet() -> str:
            await meeting.wait()  # would wait for ever if they came one by one
            return DISK

        bounce, _ = orchestrator(*(Scripted(n, meet) for n in "abc"))
        analysis = await asyncio.wait_for(bounce.analyse(QUESTION, "premium"), 5)
        assert [a.provider for a in analysis.answers] == ["a", "b", "c"]

    asyncio.run(main())


def test_events_tell_the_whole_story_in_order() -> None:
    bounce, events = orchestrator(Scripted("a", DISK), failing(FailureKind.RATE_LIMITED), Scripted("b", DISK))
    analysis = ask(bounce)
    names = kinds(events)
    assert (names[0], sorted(names[1:4]), names[4:]) == (
        "Began",
        ["Answered", "Answered", "Failed"],
        ["Began", "Graded", "Graded", "Settled"],
    )
    settled = events[-1]
    assert isinstance(settled, Settled)
    assert settled.analysis is analysis
    assert settled.agreement == ((("a", "b"), pytest.approx(1)),)
    assert all(e.request_id == "req-1" for e in events)


def test_when_all_fail_the_error_names_each_and_says_how_long_to_wait() -> None:
    bounce, events = orchestrator(
        failing(FailureKind.RATE_LIMITED, 7), failing(FailureKind.UNAVAILABLE), wanted=2
    )
    with pytest.raises(AnalysisError) as caught:
        ask(bounce)
    assert (caught.value.code, caught.value.retry_after) == ("providers_failed", 7)
    assert "bad-rate_limited: rate_limited, bad-unavailable: unavailable" in caught.value.message
    assert kinds(events) == ["Began", "Failed", "Failed", "Abandoned"]


def test_a_question_that_may_cost_too_much_is_refused_before_anything_is_spent() -> None:
    bounce, events = orchestrator(Scripted("a", DISK), per_request_usd=0.001)
    with pytest.raises(AnalysisError) as caught:
        ask(bounce)
    assert caught.value.code == "over_request_budget"
    assert kinds(events) == ["Abandoned"]


@each_row("text", ["", "あ" * (MAX_ANSWER + 1)])
def test_an_empty_or_endless_answer_is_a_failure(text: str) -> None:
    bounce, _ = orchestrator(Scripted("a", DISK), Scripted("b", text))
    assert [f.kind for f in ask(bounce).failures] == [FailureKind.BAD_ANSWER]
