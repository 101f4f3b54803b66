"""The pages that are made from the code name all that there is, and man pages are written."""

from __future__ import annotations

import re
from pathlib import Path

from rows import each_row

import techsapo_ops
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.series import job_metrics, metrics
from techsapo_ops.cli import options
from techsapo_ops.cli.jobs import jobs
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.reference import NAMES, reference_pages
from techsapo_ops.cli.reference.commands import commands, write_man_pages
from techsapo_ops.cli.reference.tables import facts
from techsapo_ops.cli.watch import health
from techsapo_ops.spec.fields import ROOT as SPEC
from techsapo_ops.spec.fields import fields_of


@each_row("language", ["", ".ja"])
def test_the_references_name_every_field_metric_alert_and_command(language: str) -> None:
    made = reference_pages()
    pages = {name: made[f"reference/{name}{language}.md"]() for name in NAMES}
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
    for page in pages.values():
        assert not re.search(r"^\|.*\|\n(?!\||\n|\Z)", page, re.MULTILINE), "a row of a table that is broken"
    index = made[f"index{language}.md"]()
    assert set(re.findall(r"\]\(([^)]+)\)", index)) == {f"reference/{name}{language}.md" for name in NAMES}


def test_man_pages_are_written_in_place_of_older_ones(tmp_path: Path) -> None:
    folder = tmp_path / "man"
    folder.mkdir()
    (folder / "techsapo-gone.1").touch()
    (folder / "other.1").touch()
    write_man_pages(folder)
    pages = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert pages.keys() == {"techsapo.1", "other.1", *(f"techsapo-{name}.1" for name in COMMANDS)}
    assert ".B \\-\\-deep" in pages["techsapo-backup.1"]
    assert "100" in pages["techsapo-plan.1"].partition("EXIT STATUS")[2]
    assert len(commands()) > len(COMMANDS)


def test_exit_codes_are_those_of_the_code() -> None:
    of = facts("exit_codes.yaml")["of"]
    assert {f"techsapo {name}" for name in of} <= {command.name for command in commands()}
    assert {str(code): status for status, code in health.EXIT_CODES.items()} == {
        code: text["en"] for code, text in of["health"].items() if code != str(health.WRONG)
    }
    assert options.CHANGES_PENDING == 100
    assert str(jobs.INTERRUPTED) in facts("exit_codes.yaml")["every"]
    package = Path(techsapo_ops.__file__).parent / "cli"
    with_100 = {path.stem for path in package.rglob("*.py") if "Exit(CHANGES_PENDING" in path.read_text()}
    known = [name.split() for name, codes in of.items() if "100" in codes]
    assert len(known) == len(with_100)
    assert [stem for stem in with_100 if not any(stem in words for words in known)] == []
