"""The pages that are made from the code are current, and name all that there is."""

from __future__ import annotations

import re

from rows import each_row

from docsite.reference.__main__ import ROOT, made, stale
from docsite.reference.parts import facts
from docsite.reference.tree import commands
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.metrics import job_metrics, metrics
from techsapo_ops.cli.commands import cron, drift, generate, health, jobs, plan
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.spec.fields import ROOT as SPEC
from techsapo_ops.spec.fields import fields_of


def test_they_are_what_the_code_makes() -> None:
    assert stale(ROOT) == []


@each_row("language", ["", ".ja"])
def test_the_references_name_every_field_metric_alert_and_command(language: str) -> None:
    pages = {
        name: made()[f"docs/reference/{name}{language}.md"]
        for name in ("configuration", "metrics", "alerts", "commands")
    }
    assert {f"`{key}`" for key in fields_of(SPEC.models[0])} <= set(
        re.findall(r"^\| (`\w+`)", pages["configuration"], re.MULTILINE)
    )
    assert "## `providers.NAME`" in pages["configuration"]
    assert {*metrics(), *job_metrics()} == set(re.findall(r"^\| `(\w+)`", pages["metrics"], re.MULTILINE))
    assert set(alerts()) == set(re.findall(r"^\| \[(\w+)\]", pages["alerts"], re.MULTILINE))
    assert not re.search(r"\{(?:threshold|minimum|window|for)\}", pages["alerts"])
    assert {f"techsapo {name}" for name in COMMANDS} <= set(
        re.findall(r"^##+ (.+)$", pages["commands"], re.MULTILINE)
    )
    assert len(commands()) > 80
    for page in pages.values():
        assert not re.search(r"^\|.*\|\n(?!\||\n|\Z)", page, re.MULTILINE), "a row of a table that is broken"


def test_exit_codes_are_those_of_the_code() -> None:
    of = facts("exit_codes.yaml")["of"]
    assert set(of) <= set(COMMANDS)
    assert {str(code): status for status, code in health.EXIT_CODES.items()} == {
        code: text["en"] for code, text in of["health"].items() if code != str(health.WRONG)
    }
    constants = (plan.CHANGES_PENDING, drift.DRIFTED, cron.CHANGES, generate.CHANGES_PENDING)
    assert {str(each) for each in constants} == {"100"}
    assert str(jobs.INTERRUPTED) in facts("exit_codes.yaml")["every"]
    package = ROOT / "techsapo_ops" / "cli" / "commands"
    with_100 = {
        path.stem
        for path in package.glob("*.py")
        if re.search(r"^_?[A-Z_]+ = 100$", path.read_text(), re.MULTILINE)
    }
    assert with_100 == {name for name, codes in of.items() if "100" in codes}
