"""The stack remembers its environment: which one a command has without -e, and who asks before another."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import in_process
import pytest
from fakes.memory_project import MemoryProject
from rows import each_row

from techsapo_ops.apply.ledger_entry import LedgerEntry, Result, applied_environment, change_of, written_entry
from techsapo_ops.cli.jobs.runs import cron_table
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

SPEC = {
    "project": "x",
    "monitoring": {n: {"enabled": False} for n in ("prometheus", "alertmanager", "grafana")},
    "environments": {"staging": {"app": {"port": 4100}}, "qa": {"app": {"port": 4200}}},
}

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text(json.dumps(SPEC))
    return tmp_path


def techsapo(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": "", **env})


def applied(folder: Path, environment: str | None, number: int = 1, result: Result = "ok") -> None:
    """Write down an apply."""
    ledger = folder / ".techsapo" / "ledger"
    ledger.mkdir(parents=True, exist_ok=True)
    (folder / ".techsapo" / "format").write_text("1\n")
    entry = LedgerEntry(
        id=number, time=NOON, user="alice", command="up", version="1", engine="native",
        environment=environment, spec_hash="", state="", identity="", result=result,
    )  # fmt: skip
    (ledger / f"{number:06}.json").write_bytes(written_entry(entry))


def port(folder: Path, *words: str, **env: str) -> int:
    shown = techsapo(folder, "config", "show", "--json", *words, **env)
    assert shown.returncode == 0, shown.stderr
    return int(json.loads(shown.stdout)["app"]["port"])


def test_a_command_without_one_has_the_environment_that_was_applied_last_and_went_well(folder: Path) -> None:
    assert port(folder) == 4000
    applied(folder, "staging")
    applied(folder, "qa", 2, "rolled-back")
    assert port(folder) == 4100
    assert port(folder, "-e", "qa") == 4200
    assert port(folder, "-e", "none") == 4000
    assert port(folder, TECHSAPO_ENVIRONMENT="qa") == 4200
    assert port(folder, TECHSAPO_ENVIRONMENT="none") == 4000


def test_it_says_so_where_a_person_reads_it(folder: Path) -> None:
    applied(folder, "staging")
    line = "environment: staging, from the last apply (-e none turns it off)\n"
    assert line in techsapo(folder, "validate").stderr
    for words in (("validate", "-q"), ("validate", "--json"), ("validate", "-e", "staging")):
        assert "environment" not in techsapo(folder, *words).stderr
    assert json.loads(techsapo(folder, "validate", "--json").stdout)["environment"] == "staging"
    applied(folder, None, 2)
    assert "environment" not in techsapo(folder, "validate").stderr


def test_no_overlay_may_be_called_none(folder: Path) -> None:
    (folder / "techsapo.yaml").write_text(json.dumps({**SPEC, "environments": {"none": {}}}))
    done = techsapo(folder, "validate")
    assert done.returncode == 1
    assert "environments.none: an overlay can't have this name" in done.stderr


def test_whoever_may_not_read_what_was_applied_is_not_given_another_environment(folder: Path) -> None:
    applied(folder, "staging")
    entry = folder / ".techsapo" / "ledger" / "000001.json"
    entry.unlink()
    entry.mkdir()
    with pytest.raises(OpsError, match="cannot read the ledger"):
        applied_environment(folder / ".techsapo")


def test_a_job_of_cron_has_the_environment_of_the_day_on_which_it_runs(folder: Path) -> None:
    applied(folder, "staging")
    table = cron_table(open_project(folder / "techsapo.yaml"))
    assert "--environment" not in table.argv("backup")
    applied(folder, None, 2)
    assert open_project(folder / "techsapo.yaml").loaded.environment is None


class Project(MemoryProject):
    """Applied in an environment."""

    environment: str | None = None

    def stack(self, **sections: Any) -> Stack:
        stack = super().stack(**sections)
        layout = replace(stack.layout, environment=self.environment)
        return replace(stack, topology=replace(stack.topology, layout=layout))


def test_another_environment_is_a_change_even_where_nothing_else_is_one(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.environment = "staging"
    assert project.up().plan.environment is None, "the first one leaves none"
    assert project.up().plan.environment is None
    project.environment = None
    report = project.up()
    assert (str(report.plan.environment), report.plan.changes) == ("environment: staging → none", True)
    assert [e.environment for e in project.ledger.entries()] == ["staging", None]
    assert change_of(tmp_path / ".techsapo", None) is None


def test_going_back_names_the_environment_that_it_goes_back_to(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.environment = "staging"
    project.up()
    project.environment = None
    project.up(sections={"redis": {"maxmemory": "99M"}})
    report = project.rollback()
    assert report is not None
    assert str(report.plan.environment) == "environment: none → staging"
    assert applied_environment(tmp_path / ".techsapo") == "staging"


def test_plan_names_it_first_and_up_does_not_do_it_unasked(folder: Path) -> None:
    applied(folder, "staging")
    planned = techsapo(folder, "plan", "-e", "none")
    assert planned.returncode == 100
    assert planned.stdout.startswith("environment: staging → none\n")
    assert planned.stderr.rstrip().endswith("next: techsapo up --environment none")
    change = json.loads(techsapo(folder, "plan", "-e", "none", "--json").stdout)["environment"]
    assert change == {"before": "staging", "now": None}
    assert not techsapo(folder, "plan").stdout.startswith("environment:")
    refused = techsapo(folder, "up", "-e", "none")
    assert refused.returncode == 1
    assert "environment: staging → none: nothing was changed" in refused.stderr
    assert "pass --yes to agree" in refused.stderr


@each_row(
    "words, ending",
    [
        (["plan"], "next: techsapo up"),
        (["plan", "-e", "qa"], "next: techsapo up --environment qa"),
        (["plan", "-e", "staging"], "next: techsapo up"),
        (["plan", "--file", "./techsapo.yaml"], "next: techsapo up"),
        (["plan", "--file", "with space.yaml"], "next: techsapo up --file 'with space.yaml'"),
        (["ps", "--file", "with space.yaml"], "next: techsapo up --file 'with space.yaml'"),
        (
            ["changes", "list", "-F", "with space.yaml"],
            "next: techsapo changes diff --file 'with space.yaml'",
        ),
    ],
)
def test_a_next_line_is_about_the_same_spec_and_environment(
    tmp_path: Path, words: list[str], ending: str
) -> None:
    for name in ("techsapo.yaml", "with space.yaml"):
        (tmp_path / name).write_text(json.dumps(SPEC))
    for number in (1, 2):
        applied(tmp_path, "staging", number)
    done = techsapo(tmp_path, *words)
    assert done.stderr.rstrip().splitlines()[-1:] == [ending], done
