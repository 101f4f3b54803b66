"""The stack commands where nothing runs, and the words they use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_process import techsapo
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.cli.apply import running as exec_command
from techsapo_ops.cli.arguments import moment, time_of
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError

NO_PROGRAMS = {"PATH": ""}
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@each_row("text, seconds", [("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("500ms", 0.5)])
def test_since_takes_an_age(text: str, seconds: float) -> None:
    assert moment(text, NOW) == NOW - timedelta(seconds=seconds)
    assert moment("2026-01-31T08:00:00+00:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)


@each_row("text", ["yesterday", "1", "1h!", "", "99999999999w", "9999-12-31T23:59:59-12:00"])
def test_since_refuses_what_is_neither(text: str) -> None:
    with pytest.raises(OpsError) as caught:
        moment(text, NOW)
    assert caught.value.exit_code == 2


def test_a_time_is_of_this_host_without_a_zone_and_what_is_none_is_refused_by_its_option() -> None:
    assert time_of("--to", "2026-01-31T08:00:00+09:00") == datetime(2026, 1, 30, 23, tzinfo=UTC)
    assert time_of("--to", "2026-01-31T08:00") == datetime(2026, 1, 31, 8).astimezone()
    for text in ("noon", "", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"):
        with pytest.raises(OpsError, match=r"^--to: .* is not a time") as caught:
            time_of("--to", text)
        assert caught.value.exit_code == 2


@each_row("command", ["ps", "monit"])
def test_a_stack_that_was_never_up_has_no_services(tmp_path: Path, command: str) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    shown = techsapo(tmp_path, command, env=NO_PROGRAMS)
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "no service of this stack is running" in shown.stderr
    assert json.loads(techsapo(tmp_path, command, "--json", env=NO_PROGRAMS).stdout)["services"] == []


def test_down_with_nothing_to_stop_says_so_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    done = techsapo(tmp_path, "down", env=NO_PROGRAMS)
    assert (done.returncode, done.stderr) == (0, "nothing to stop\n")
    assert [path.name for path in tmp_path.iterdir()] == ["techsapo.yaml"]


def test_plan_lists_files_and_services_and_ends_with_100(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    shown = techsapo(tmp_path, "plan", env=NO_PROGRAMS)
    assert shown.returncode == 100
    assert "files (--verbose lists them)" in shown.stdout
    assert "create   app        not there yet" in shown.stdout
    assert "create   scheduler  not there yet" in shown.stdout
    value = json.loads(techsapo(tmp_path, "plan", "--json", env=NO_PROGRAMS).stdout)
    assert value["changes"] is True
    assert [s["service"] for s in value["steps"]] == ["app", "scheduler"]
    assert not (tmp_path / ".techsapo").exists(), "a plan writes nothing"


def test_the_compose_engine_without_docker_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\nengine: compose\n")
    failed = techsapo(tmp_path, "up", env=NO_PROGRAMS)
    assert failed.returncode == 1
    assert "cannot run docker: no such program" in failed.stderr
    assert "techsapo doctor" in failed.stderr


def test_logs_before_any_start_and_with_a_wrong_expression(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    assert "there are no logs yet" in techsapo(tmp_path, "logs", env=NO_PROGRAMS).stderr
    wrong = techsapo(tmp_path, "logs", "--grep", "(")
    assert wrong.returncode == 2
    assert "--grep: '('" in wrong.stderr


@each_row("word", ["WARNING", "err", "Critical"])
def test_a_level_is_taken_as_other_programs_call_it(tmp_path: Path, word: str) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    told = techsapo(tmp_path, "logs", "--level", word, env=NO_PROGRAMS)
    assert (told.returncode, told.stderr) == (0, "there are no logs yet\n")


def test_up_of_an_absent_part_says_what_brings_it(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: techsapo\n")
    failed = techsapo(tmp_path, "up", "redis", env=NO_PROGRAMS)
    assert failed.returncode == 1
    assert "no redis-server on PATH" in failed.stderr
    assert "doctor --fix" in failed.stderr


def test_two_dashes_before_a_program_are_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: demo\n")
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(exec_command, "open_stack", lambda _: None)
    monkeypatch.setattr(exec_command, "execute", lambda _, service, words, **__: ran.append(words) or 0)
    for words in (("nginx", "--", "sh", "-c", "exit 7"), ("nginx", "sh", "--", "x"), ("nginx",)):
        told = ["exec", "--file", str(tmp_path / "techsapo.yaml"), *words]
        assert CliRunner().invoke(app, told).exit_code == 0
    assert ran == [("sh", "-c", "exit 7"), ("sh", "--", "x"), ()]
