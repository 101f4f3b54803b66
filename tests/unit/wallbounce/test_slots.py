"""A spare sits in within the tier, where a provider is down or fails."""

from __future__ import annotations

import asyncio
from typing import Any

from rows import each_row
from scripted import Purse, Scripted, climbing, never

from techsapo_ops.wallbounce.calls import Turn, in_order
from techsapo_ops.wallbounce.context import Escalated, Event, SatIn
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import LASTING, Cause, ProviderError, advice
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("ディスクが一杯です", "ja", "req-1")
ADVICE = "「df -h」で空き容量を確認し、古いログを削除してください。"


def failing(name: str, cause: Cause) -> Scripted:
    async def fail() -> str:
        raise ProviderError(advice(cause).kind, "it failed", cause=cause)

    return Scripted(name, fail)


def sat_in(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.failure.provider, e.spare) for e in events if isinstance(e, SatIn)]


def analyse(bounce: WallBounce, **options: Any) -> Any:
    return asyncio.run(bounce.analyse(QUESTION, "basic", **options))


@each_row("cause", [*sorted(LASTING), Cause.SERVER, Cause.CONTENT, Cause.UNREADABLE])
def test_a_provider_that_fails_is_replaced_within_its_tier_and_nothing_is_escalated(cause: Cause) -> None:
    bounce, events = climbing(failing("a", cause), Scripted("b", ADVICE), Scripted("c", ADVICE))
    analysis = analyse(bounce)
    assert [a.provider for a in analysis.answers] == ["c", "b"], "the spare takes the slot of who failed"
    assert (analysis.tier, analysis.verdict.accepted) == ("basic", True)
    assert [f.provider for f in analysis.failures] == ["a"]
    assert sat_in(events) == [("a", "c")]
    assert not any(isinstance(e, Escalated) for e in events)


def test_what_a_question_may_cost_is_counted_by_who_will_be_asked() -> None:
    dear, down = Scripted("a", ADVICE), {"a"}
    dear.price = type(dear.price)(1000.0, 1000.0)
    bounce, _ = climbing(
        dear,
        Scripted("b", ADVICE),
        Scripted("c", ADVICE),
        turn=lambda p: Turn.RESTING if p.name in down else Turn.WELL,
    )
    cheap = bounce.worst_case(QUESTION, "basic")
    down.clear()
    assert bounce.worst_case(QUESTION, "basic") > 10 * cheap


def test_a_spare_that_fails_is_replaced_by_the_next_and_no_spare_sits_twice() -> None:
    bounce, events = climbing(
        failing("a", Cause.KEY),
        failing("b", Cause.MONEY),
        failing("c", Cause.SERVER),
        Scripted("d", ADVICE),
        Scripted("e", ADVICE),
    )
    analysis = analyse(bounce)
    assert sorted(a.provider for a in analysis.answers) == ["d", "e"]
    assert len({spare for _, spare in sat_in(events)}) == len(sat_in(events)) == 3


def test_no_spare_is_asked_where_the_money_is_not_there() -> None:
    purse = Purse(allows=False)
    bounce, events = climbing(failing("a", Cause.KEY), Scripted("b", ADVICE), Scripted("c", ADVICE))
    analysis = analyse(bounce, payer=purse)
    assert [a.provider for a in analysis.answers] == ["b"]
    assert sat_in(events) == []
    assert purse.asked
    bounce, events = climbing(failing("a", Cause.BUDGET), Scripted("b", ADVICE), Scripted("c", ADVICE))
    analyse(bounce)
    assert sat_in(events) == [], "nor where the budget had no room for the first call"


def test_no_spare_is_asked_where_no_time_is_left_for_it() -> None:
    slow = Scripted("a", never, timeout=0.3)
    bounce, events = climbing(slow, Scripted("b", ADVICE), Scripted("c", ADVICE), deadline=0.7)
    analyse(bounce)
    assert sat_in(events) == []


def test_a_provider_that_is_slow_to_fail_leaves_its_spare_what_is_left_of_the_phase() -> None:
    slow = Scripted("a", never, timeout=0.05)
    bounce, events = climbing(slow, Scripted("b", ADVICE), Scripted("c", ADVICE), deadline=60)
    analysis = analyse(bounce)
    assert [a.provider for a in analysis.answers] == ["c", "b"]
    assert sat_in(events) == [("a", "c")]


def test_an_escalations_slot_has_spares_as_well() -> None:
    bounce, events = climbing(
        Scripted("a", ADVICE),
        Scripted("b", "まったく別の原因です。再起動してください。"),
        failing("c", Cause.KEY),
        Scripted("d", ADVICE),
    )
    analysis = analyse(bounce)
    assert ("c", "d") in sat_in(events)
    assert "d" in [a.provider for a in analysis.answers]


def test_a_spare_that_is_down_and_may_be_tried_gets_a_slot_so_that_it_does_not_stay_down_for_ever() -> None:
    down = {"c": Turn.DUE}
    bounce, _ = climbing(*(Scripted(n, ADVICE) for n in "abcd"), turn=lambda p: down.get(p.name, Turn.WELL))
    assert [a.provider for a in analyse(bounce).answers] == ["a", "c"]
    assert [p.name for p in bounce.chosen("basic")] == ["a", "c"]
    down.clear()
    assert [a.provider for a in analyse(bounce).answers] == ["a", "b"]


def test_a_dearer_spare_is_not_tried_so_that_no_budget_refuses_a_question_for_it() -> None:
    dear = Scripted("c", ADVICE)
    dear.price = Price(1.0, 11.0)
    others = [Scripted(n, ADVICE) for n in "ab"]
    made = in_order([*others, dear], lambda p: Turn.DUE if p is dear else Turn.WELL, 2)
    assert [p.name for p in made] == ["a", "b", "c"]


def test_who_made_way_for_a_try_in_vain_sits_in_first() -> None:
    bounce, events = climbing(
        Scripted("a", ADVICE),
        Scripted("b", ADVICE),
        failing("c", Cause.KEY),
        Scripted("d", ADVICE),
        turn=lambda p: Turn.DUE if p.name == "c" else Turn.WELL,
    )
    analysis = analyse(bounce)
    assert [a.provider for a in analysis.answers] == ["a", "b"]
    assert sat_in(events) == [("c", "b")]


@each_row(
    "turns, slots, order",
    [
        ({}, 2, "abcd"),
        ({"b": Turn.DUE, "c": Turn.DUE}, 2, "abcd"),  # one try at a time
        ({"c": Turn.DUE, "d": Turn.DUE}, 2, "acbd"),
        ({"d": Turn.DUE}, 3, "abdc"),
        ({"d": Turn.DUE}, 1, "abcd"),
        ({"a": Turn.RESTING, "d": Turn.DUE}, 2, "bdc"),
        (dict.fromkeys("abcd", Turn.RESTING), 2, "abcd"),
        (dict.fromkeys("abcd", Turn.DUE), 2, "abcd"),
    ],
)
def test_who_is_asked_first(turns: dict[str, Turn], slots: int, order: str) -> None:
    made = in_order([Scripted(n, ADVICE) for n in "abcd"], lambda p: turns.get(p.name, Turn.WELL), slots)
    assert "".join(p.name for p in made) == order
