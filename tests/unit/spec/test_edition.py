"""Editions of the defaults: which one holds, and what a stack of the first one is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.spec import older_defaults
from techsapo_ops.spec.edition import Edition, chosen, edition_of
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.models.data import REPORT, Schedule
from techsapo_ops.spec.older_defaults import SAFER, SaferDefault
from techsapo_ops.spec.problems import dotted

Loader = Callable[..., LoadedSpec]
DOCS = Path(__file__).parents[3] / "docs"


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


def test_what_the_spec_says_of_a_protection_comes_before_its_edition() -> None:
    assert [chosen(None, 1), chosen(None, 2), chosen(True, 1), chosen(False, 2)] == [False, True, True, False]


@pytest.fixture
def one_safer_default(monkeypatch: pytest.MonkeyPatch) -> None:
    default = SaferDefault(("app", "auth", "required"), "no key asked for")
    monkeypatch.setattr(older_defaults, "SAFER", (default,))


@pytest.mark.usefixtures("one_safer_default")
@pytest.mark.parametrize(
    ("text", "began_with"),
    [
        ("project: x", 2),
        ("project: x", None),
        ("{project: x, edition: 2}", 1),
        ("{project: x, edition: 1}", 1),
        ("{project: x, app: {auth: {required: true}}}", 1),
    ],
)
def test_nothing_is_said_where_no_older_default_holds(
    text: str, began_with: Edition | None, loaded: Loader
) -> None:
    assert not loaded(text, began_with=began_with).warnings


@pytest.mark.usefixtures("one_safer_default")
@pytest.mark.parametrize(("text", "began_with"), [("project: x", 1)])
def test_one_warning_names_what_a_stack_of_the_first_edition_keeps(
    text: str, began_with: Edition, loaded: Loader
) -> None:
    (warning,) = loaded(text, began_with=began_with).warnings
    assert "older defaults: no key asked for (app.auth.required)" in str(warning)
    assert "`edition: 2`" in str(warning)


ADMIN = "any user of this host can read and delete Prometheus's samples: its admin API asks for no login"


@each_row(
    "monitoring, began_with, warned",
    [
        ("{}", 1, True),
        ("{}", 2, False),
        ("{}", None, False),
        ("{prometheus: {login: true}}", 1, False),
        ("{prometheus: {login: false}}", 2, True),
        ("{prometheus: {enabled: false}}", 1, False),
    ],
)
def test_an_admin_api_without_a_login_is_told(
    monitoring: str, began_with: Edition | None, warned: bool, loaded: Loader
) -> None:
    text = f"{{project: x, monitoring: {monitoring}, backup: {{prometheus: true}}}}"
    found = [str(warning) for warning in loaded(text, began_with=began_with).warnings]
    assert any(f"backup.prometheus: {ADMIN}" in warning for warning in found) is warned


@pytest.mark.usefixtures("one_safer_default")
def test_an_existing_stack_in_production_is_told_that_its_defaults_changed_until_its_spec_names_an_edition(
    loaded: Loader,
) -> None:
    def told(text: str) -> list[str]:
        warnings = loaded(text, environment="production", began_with=1).warnings
        return [str(w) for w in warnings if "edition" in str(w)]

    one = "{kind: openai-compatible, model: m, base_url: 'https://a/v1'}"
    meant = "accepted_exposures: {no-watcher: a trial, no-critical-receiver: a trial}"
    real = (
        f"providers: {{a: {one}, b: {one}, c: {one}}}\nmonitoring: {{grafana: {{enabled: false}}}}\n{meant}"
    )
    (warning,) = told(f"project: x\n{real}")
    assert "safer defaults than this stack began with. Before: no key asked for" in warning
    assert told(f"project: x\nedition: 2\n{real}") == []


@each_row("page", ["upgrade.md", "upgrade.ja.md"])
def test_the_page_on_upgrades_lists_just_the_defaults_that_depend_on_the_edition(page: str) -> None:
    text = (DOCS / page).read_text()
    table = re.split(r"\n### (?:Editions of the defaults|既定値の版)\n", text)[1].split("\n### ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [dotted(default.path) for default in SAFER]


@each_row("offsite", [True, False])
def test_a_stack_of_the_first_edition_has_no_job_that_its_spec_does_not_name(offsite: bool) -> None:
    assert Schedule().of_edition(1, offsite=offsite, alerts=True) == Schedule()
    assert Schedule(drill_alert="0 9 * * 1").of_edition(1, offsite=offsite, alerts=True).times() == {
        **Schedule().times(), "drill_alert": "0 9 * * 1",
    }  # fmt: skip


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
