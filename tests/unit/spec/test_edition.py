"""Editions of the defaults: which one holds, and what a stack of the first one is told."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.edition import Edition, edition_of
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.models.data import REPORT, Schedule

Loader = Callable[..., LoadedSpec]


@each_row(
    "written, environment, began_with, expected",
    [
        (None, None, 1, 1),
        (None, None, 2, 2),
        (None, "staging", 1, 1),
        (None, "production", 1, 2),
        (1, "production", 2, 1),
        (2, None, 1, 2),
    ],
)
def test_the_spec_comes_before_production_and_that_before_what_the_stack_began_with(
    written: Edition | None, environment: str | None, began_with: Edition, expected: Edition
) -> None:
    assert edition_of(written, environment, began_with) == expected


def test_from_the_second_on_they_have_times_unless_the_spec_says_otherwise() -> None:
    later = Schedule().of_edition(2, offsite=True, alerts=True)
    assert None not in {later.report, later.verify_offsite, later.drill_restore, later.drill_alert}
    assert Schedule().of_edition(2, offsite=False, alerts=True).verify_offsite is None
    said = Schedule(report=None, drill_alert="0 9 * * 1").of_edition(2, offsite=True, alerts=False)
    assert (said.report, said.drill_alert) == (None, "0 9 * * 1")


@each_row("without", ["prometheus", "alertmanager"])
def test_no_alert_is_drilled_by_itself_in_a_stack_that_sends_none(without: str, loaded: Loader) -> None:
    text = f"project: x\nedition: 2\nmonitoring: {{{without}: {{enabled: false}}}}\n"
    spec = loaded(text).spec
    assert (spec.schedule.drill_alert, spec.schedule.report) == (None, REPORT)
