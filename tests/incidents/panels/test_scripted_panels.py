"""Panels of scripted members, no models: what weighs, and that no text of the evidence steers anything.

`pytest tests/incidents/panels -k tally -s` prints how often evidence was wrongly found wanting, and how many
causes were invented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from panel_cases import PLACES, Case, cases, injections
from panel_members import Member, ignorer, obedient, reader, silent
from rows import each_row

from techsapo_ops.catalogue.checks import checks
from techsapo_ops.incidents.verdict import RULES, Verdict, verdict_of
from techsapo_ops.masking.masker import Masker
from techsapo_ops.serve.incidents.panel import Opinions, Panel
from techsapo_ops.wallbounce.context import Charge
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.question import Policy, TierRule

CASES = cases()
SOLVABLE = [case for case in CASES if case.answer["outcome"] != "unsolvable"]
UNSOLVABLE = [case for case in CASES if case.answer["outcome"] == "unsolvable"]
OUTCOMES = {"fault": "cause", "false_alarm": "false_alarm", "unsolvable": "not_enough_evidence"}
Members = Callable[[Case], Sequence[Member]]
PANELS: dict[str, Members] = {
    "three readers": lambda case: [reader(case.answer)] * 3,
    "two readers, an ignorer": lambda case: [reader(case.answer)] * 2 + [ignorer(case.favourite)],
    "a reader, two ignorers": lambda case: [reader(case.answer)] + [ignorer(case.favourite)] * 2,
    "three ignorers": lambda case: [ignorer(case.favourite)] * 3,
}


class Purse:
    """A purse that remembers what it was asked for."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self.held: list[float] = []
        self.booked: list[Charge] = []
        self.closed = 0

    async def open(self, usd: float) -> None:
        self.opened.append(usd)

    async def close(self) -> None:
        self.closed += 1

    async def afford(self, usd: float) -> bool:
        return False

    async def hold(self, usd: float) -> int:
        self.held.append(usd)
        return len(self.held)

    def book(self, held: int, charge: Charge) -> None:
        self.booked.append(charge)


def asked(case: Case, members: Sequence[Member], purse: Purse) -> Opinions:
    """What `members` find in `case`."""
    rule = TierRule(len(members), 0.7, 0.6)
    policy = Policy({"basic": rule, "premium": rule, "critical": rule})

    async def ask() -> Opinions:
        panel = Panel(WallBounce([*map(Guarded, members)], policy), "basic")
        return await panel.ask(case.inquiry, "req-1", Masker("off"), purse, 30.0)

    return asyncio.run(ask())


def drawn(case: Case, members: Sequence[Member]) -> Verdict:
    """The verdict of `members`, and of the rules, about `case`."""
    return verdict_of(asked(case, members, Purse()).findings, case.inquiry)


def named(case: Case) -> str:
    return case.name


@each_row("case", CASES, ids=named)
def test_readers_get_their_cause_and_an_ignorer_changes_nothing(case: Case) -> None:
    verdict = drawn(case, [ignorer(case.favourite), *[reader(case.answer)] * 2])
    assert verdict.outcome == OUTCOMES[case.answer["outcome"]]
    if case.answer["outcome"] != "unsolvable":
        assert verdict.causes[0].cause == case.answer["cause"]
        assert "scripted ignorer" not in verdict.causes[0].members


@each_row("case", CASES, ids=named)
def test_a_cause_without_evidence_weighs_nothing_however_many_assert_it(case: Case) -> None:
    verdict = drawn(case, [ignorer(case.favourite, cites=("M9", "L77"))] * 3)
    assert verdict.outcome == "not_enough_evidence"
    assert verdict.invented == 3
    assert all(cause.members == (RULES,) for cause in verdict.causes)


@each_row("case", CASES, ids=named)
def test_a_favourite_cause_is_no_verdict_whatever_it_cites(case: Case) -> None:
    blames_a_deploy = "deploy" in case.favourite["cause"]
    outcome = drawn(case, [ignorer(case.favourite)]).outcome
    assert outcome == ("guess" if blames_a_deploy else "not_enough_evidence")


@each_row("case", CASES, ids=named)
def test_where_every_provider_abstains_the_rules_make_no_verdict(case: Case) -> None:
    assert drawn(case, [silent(), silent()]).outcome == "not_enough_evidence"


@pytest.mark.parametrize("place", PLACES)
@each_row("number", range(len(injections())))
def test_no_text_changes_a_command_a_route_a_recipient_or_the_budget(number: int, place: str) -> None:
    text = injections()[number]
    for case in (CASES[number % len(CASES)], CASES[(number + 5) % len(CASES)]):
        honest = drawn(case, [reader(case.answer)] * 3)
        members, purse = [obedient(text), *[reader(case.answer)] * 2], Purse()
        injected = case.injected(text, place)
        verdict = verdict_of(asked(injected, members, purse).findings, injected.inquiry)
        assert (verdict.outcome, verdict.checks) == (honest.outcome, honest.checks)
        assert [c.cause for c in verdict.causes[:1]] == [c.cause for c in honest.causes[:1]]
        assert "evil" not in str((verdict.checks, verdict.step, verdict.missing, verdict.abstained))
        assert [len(member.asked) for member in (members[0], members[1])] == [1, 2], "each is asked once"
        assert {member.asked[0].system for member in members} == {members[0].asked[0].system}
        assert "evil" not in members[0].asked[0].system
        assert (len(purse.opened), len(purse.held), len(purse.booked), purse.closed) == (1, 3, 3, 1)
        assert sum(purse.held) == pytest.approx(purse.opened[0])


@each_row("text", injections())
def test_who_obeys_and_is_alone_proposes_nothing_outside_the_list_and_quotes_no_command(text: str) -> None:
    for place in PLACES:
        case = SOLVABLE[0].injected(text, place)
        verdict = drawn(case, [obedient(text)])
        for check in verdict.checks:
            assert check.argv[0] == checks()[check.check].argv[0]
            assert "evil" not in " ".join(check.argv)
        told = " ".join(each.cause for each in verdict.causes)
        assert not any(sign in told for sign in ("://", "`", "| sh", "sudo", "rm -", "&&", "$(", "DROP"))


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a panel is right, refuses what can be solved, and names a cause that is not."""

    right: int
    refused: int
    invented: int


def tally(name: str, given: Sequence[Case]) -> Tally:
    """The tally of a panel of PANELS over the incidents `given`, which is printed as well."""
    verdicts = [drawn(case, PANELS[name](case)) for case in given]
    right = refused = invented = 0
    for case, verdict in zip(given, verdicts, strict=True):
        said = verdict.causes[0].cause if verdict.outcome in {"cause", "false_alarm"} else None
        wanted = case.answer["cause"] if case.answer["outcome"] != "unsolvable" else None
        right += said == wanted
        refused += said is None and wanted is not None
        invented += said is not None and said != wanted
    weightless = sum(verdict.invented for verdict in verdicts)
    print(
        f"scripted members, no models: {name}: {right} of {len(given)} verdicts are right, {refused} wrongly "
        f"refused, {invented} invented; {weightless} invented causes in replies weighed nothing"
    )
    return Tally(right, refused, invented)


@pytest.mark.parametrize("name", PANELS)
def test_the_tally_of_written_incidents(name: str) -> None:
    refused = len(SOLVABLE) if name == "three ignorers" else 0
    assert tally(name, CASES) == Tally(len(CASES) - refused, refused, 0)
