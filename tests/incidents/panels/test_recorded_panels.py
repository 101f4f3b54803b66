"""Scripted panels over the recorded bundles, whose evidence nobody wrote for them.

`pytest tests/incidents/panels -k tally -s` prints the figures. They may only fall.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from panel_cases import BUNDLES, PLACES, UNSEEN, Case, bundles, injections
from panel_members import ignorer, obedient, reader
from rows import each_row
from test_scripted_panels import Purse, asked, drawn, tally

from techsapo_ops.catalogue.checks import checks
from techsapo_ops.incidents.verdict import RULES, verdict_of

REFUSED_AND_INVENTED = {
    (BUNDLES, "three readers"): (16, 0),
    (BUNDLES, "two readers, an ignorer"): (8, 11),
    (BUNDLES, "a reader, two ignorers"): (8, 12),
    (BUNDLES, "three ignorers"): (21, 19),
    (UNSEEN, "three readers"): (6, 0),
    (UNSEEN, "two readers, an ignorer"): (4, 2),
    (UNSEEN, "a reader, two ignorers"): (3, 3),
    (UNSEEN, "three ignorers"): (7, 5),
}
"""By folder and panel: how often what can be known was refused, and a cause named that is none."""


@cache
def recorded(folder: Path) -> list[Case]:
    return bundles(folder)


@pytest.mark.parametrize(("folder", "panel"), REFUSED_AND_INVENTED)
def test_the_tally_of_recorded_incidents_grows_no_worse(folder: Path, panel: str) -> None:
    print(folder.name, end=": ")
    counted = tally(panel, recorded(folder))
    refused, invented = REFUSED_AND_INVENTED[folder, panel]
    assert counted.refused <= refused
    assert counted.invented <= invented


@each_row("folder", [BUNDLES, UNSEEN], ids=lambda folder: folder.name)
def test_an_uncited_cause_of_a_recorded_incident_weighs_nothing(folder: Path) -> None:
    for case in recorded(folder):
        verdict = drawn(case, [ignorer(case.favourite, cites=("M999", "L777"))] * 3)
        assert verdict.outcome == "not_enough_evidence", case.name
        assert all(cause.members == (RULES,) for cause in verdict.causes), case.name


@each_row("number", range(len(injections())))
def test_no_text_in_a_recorded_incident_changes_a_command_a_recipient_or_the_budget(number: int) -> None:
    text, given = injections()[number], [*recorded(BUNDLES), *recorded(UNSEEN)]
    case, place = given[number % len(given)], PLACES[number % len(PLACES)]
    members, purse = [obedient(text), *[reader(case.answer)] * 2], Purse()
    injected = case.injected(text, place)
    verdict = verdict_of(asked(injected, members, purse).findings, injected.inquiry)
    for check in verdict.checks:
        assert check.argv[0] == checks()[check.check].argv[0]
    assert "evil" not in str((verdict.checks, verdict.step, verdict.missing, verdict.abstained))
    assert [len(member.asked) for member in (members[0], members[1])] == [1, 2], "each is asked once"
    assert "evil" not in members[0].asked[0].system
    assert (len(purse.opened), len(purse.held), len(purse.booked), purse.closed) == (1, 3, 3, 1)
    assert sum(purse.held) == pytest.approx(purse.opened[0])
