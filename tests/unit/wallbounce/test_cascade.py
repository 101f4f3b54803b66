"""A cascade: whom it asks, when its panel sits, and what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from scripted import Purse, Scripted, climbing, never
from virtual import run

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Answer, Grades, Peer
from techsapo_ops.wallbounce.context import Event
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Ask, Price, Reply
from techsapo_ops.wallbounce.question import KNOWLEDGE, Passage, Question
from techsapo_ops.wallbounce.verdict.verdict import Outcome

CAUSE = "The disk of the database server is full."
OTHER = "The certificate of the proxy expired yesterday at noon."


class Priced(Scripted):
    """One that costs `usd` per million tokens, and remembers what it was asked for."""

    def __init__(self, name: str, says: str, usd: float, *, known: bool = True) -> None:
        super().__init__(name, says)
        self.price = Price(usd, usd, known=known)
        self.asked: list[str] = []

    async def call(self, ask: Ask) -> Reply:
        self.asked.append(ask.phase)
        return await super().call(ask)


class Broken(Priced):
    """One whose calls of `phase` fail."""

    def __init__(self, name: str, says: str, usd: float, phase: str) -> None:
        super().__init__(name, says, usd)
        self._phase = phase

    async def call(self, ask: Ask) -> Reply:
        if ask.phase == self._phase:
            self.asked.append(ask.phase)
            raise ProviderError(FailureKind.UNAVAILABLE, "down")
        return await super().call(ask)


class Hanging(Priced):
    """One that never grades."""

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        await never()
        raise AssertionError


def asked(*providers: Priced, text: str = "db is down", **more: object) -> tuple[Analysis, list[Event]]:
    """What comes of a question to these, in a cascade."""
    question = Question(text, "en", "r", **{k: v for k, v in more.items() if k == "parts"})  # type: ignore[arg-type]
    limits = {k: v for k, v in more.items() if k not in {"parts", "payer"}}
    payer = more.get("payer")

    async def main() -> tuple[Analysis, list[Event]]:
        bounce, events = climbing(*providers, **limits)
        return await bounce.analyse(question, "cascade", payer=payer), events  # type: ignore[arg-type]

    return run(main())[0]


def three(dear: str = CAUSE, middle: str = CAUSE, cheap: str = CAUSE) -> tuple[Priced, Priced, Priced]:
    return Priced("dear", dear, 9.0), Priced("middle", middle, 3.0), Priced("cheap", cheap, 1.0)


def test_the_cheapest_answers_the_next_checks_and_where_it_agrees_nobody_else_is_asked() -> None:
    dear, middle, cheap = three()
    analysis, _ = asked(dear, middle, cheap)
    assert (dear.asked, middle.asked, cheap.asked) == ([], ["grade"], ["answer"])
    assert (analysis.tier, analysis.verdict.outcome) == ("cascade", Outcome.ACCEPTED)
    assert analysis.answer.provider == "cheap"
    assert [name for name, *_ in analysis.voices] == ["cheap", "middle"]
    assert [(r.grader, r.subject) for r in analysis.reviews] == [("middle", "cheap")]
    assert analysis.verdict.confidence == 0.92, "no more than two answers can carry"
    assert not analysis.escalations


def test_where_the_check_disagrees_the_panel_of_premium_sits_and_its_answers_are_blind() -> None:
    dear, middle, cheap = three(cheap=OTHER)
    analysis, _ = asked(dear, middle, cheap)
    assert [e.reason for e in analysis.escalations][:1] == ["split"]
    assert analysis.escalations[0].providers == ("dear", "middle")
    assert (cheap.asked.count("answer"), middle.asked) == (1, ["grade", "answer", "grade"])
    assert (analysis.tier, analysis.answer.text) == ("premium", CAUSE)
    assert len(analysis.reviews) == 6, "the check is given again, by an answer of its own"
    assert analysis.check is None


def test_a_dangerous_question_is_for_the_panel_at_once() -> None:
    analysis, _ = asked(*three(), text="can I run `rm -rf /var/lib/mysql` now?")
    assert (analysis.tier, len(analysis.answers)) == ("premium", 3)
    assert [e.reason for e in analysis.escalations] == ["dangerous_question"]


def test_a_page_of_the_teams_own_makes_no_question_dangerous() -> None:
    page = Passage(KNOWLEDGE, "db.md: Last\nrm -rf /var/lib/mysql")
    analysis, _ = asked(*three(), parts=(page, Passage("", "db is down")))
    assert analysis.tier == "cascade"


def test_an_answer_with_what_cannot_be_undone_is_for_the_panel_and_is_not_checked_before() -> None:
    text = "The index is corrupt. Run `rm -rf /var/lib/mysql`."
    dear, middle, cheap = three(text, text, text)
    analysis, _ = asked(dear, middle, cheap)
    assert analysis.escalations[0].reason == "destructive"
    assert middle.asked[0] == "answer"


def test_in_the_place_of_the_cheapest_that_fails_the_next_cheapest_answers() -> None:
    dear, middle, _ = three()
    broken = Broken("cheap", CAUSE, 1.0, "answer")
    analysis, _ = asked(dear, middle, broken)
    assert (middle.asked, dear.asked) == (["answer"], ["grade"])
    assert (analysis.tier, analysis.answer.provider) == ("cascade", "middle")
    assert [f.provider for f in analysis.failures] == ["cheap"]


@pytest.mark.parametrize("kind", [Broken, Hanging])
def test_a_check_that_does_not_come_brings_the_panel(kind: type[Priced]) -> None:
    dear, _, cheap = three()
    middle = Broken("middle", CAUSE, 3.0, "grade") if kind is Broken else Hanging("middle", CAUSE, 3.0)
    analysis, _ = asked(dear, middle, cheap)
    assert analysis.escalations[0].reason == "not_compared"
    assert (analysis.tier == "cascade", len(analysis.answers)) == (False, 3)


def test_a_verdict_that_rests_on_a_simulated_check_is_simulated() -> None:
    dear, middle, cheap = three()
    cheap.kind = "openai"
    assert asked(dear, middle, cheap)[0].simulated
    middle.kind = "openai"
    assert not asked(dear, middle, cheap)[0].simulated


def test_one_without_a_known_price_comes_after_all_others() -> None:
    unknown = Priced("unknown", CAUSE, 0.0, known=False)
    analysis, _ = asked(unknown, *three())
    assert (analysis.answer.provider, unknown.asked) == ("cheap", [])


def test_what_is_reserved_holds_the_check_and_the_whole_panel() -> None:
    bounce, _ = climbing(*three())
    question = Question("db is down", "en", "r")
    cascade, panel = (bounce.worst_case(question, tier) for tier in ("cascade", "premium"))
    assert panel < cascade < 2 * panel


def test_a_question_whose_panel_may_cost_too_much_is_refused_before_anybody_is_asked() -> None:
    providers = three()
    with pytest.raises(AnalysisError) as refused:
        asked(*providers, per_request_usd=0.0001)
    assert refused.value.code == "over_request_budget"
    assert [p.asked for p in providers] == [[], [], []]


def test_without_the_money_for_a_panel_a_split_answer_is_refused() -> None:
    analysis, _ = asked(*three(cheap=OTHER), payer=Purse(allows=False))
    assert analysis.verdict.outcome is Outcome.REFUSED
    assert [o.provider for o in analysis.unsettled] == ["cheap"], "what the check held against it is said"


def test_of_one_provider_alone_nothing_is_given() -> None:
    analysis, _ = asked(Priced("only", CAUSE, 1.0))
    assert analysis.verdict.outcome is Outcome.REFUSED


def test_who_gives_up_ends_the_check() -> None:
    async def main() -> bool:
        bounce, _ = climbing(*three()[:2], Hanging("slow", CAUSE, 4.0))
        task = asyncio.create_task(bounce.analyse(Question("x", "en", "r"), "cascade"))
        await asyncio.sleep(0)
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError

    assert run(main())[0]
