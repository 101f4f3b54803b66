"""The off-site repository that a command line names: what opens it is in no command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.backup import recover_doors
from techsapo_ops.cli.backup.recover_doors import restic_at
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError

HIDDEN = "hidden-one"


class Noted:
    """Runs nothing, and keeps what it was to run."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        self.commands.append(command)
        return Completed(command, 0, b"[]", b"")


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    made = Noted()
    monkeypatch.setattr(recover_doors, "runner", lambda: made)
    monkeypatch.setattr(recover_doors, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("RESTIC_PASSWORD", HIDDEN)
    monkeypatch.delenv("RESTIC_PASSWORD_FILE", raising=False)
    monkeypatch.delenv("RESTIC_REST_PASSWORD", raising=False)
    return made


def run_of(noted: Noted, place: str) -> Command:
    noted.commands.clear()
    restic_at(place, None, ["rest.connections=2"], Path("/cache")).snapshots()
    (command,) = noted.commands
    assert [word for word in command.argv if HIDDEN in word or "backup.example" in word] == []
    return command


@each_row("asked", [True, False])
def test_the_password_of_a_user_at_a_rest_server_goes_to_restic_by_its_environment(
    noted: Noted, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    questions: list[Any] = []
    if asked:
        monkeypatch.setattr(recover_doors, "interactive", lambda: True)
        monkeypatch.setattr("typer.prompt", lambda *told, **how: questions.append((told, how)) or HIDDEN)
    else:
        monkeypatch.setenv("RESTIC_REST_PASSWORD", HIDDEN)
    env = run_of(noted, "rest:https://m%40e%1b@backup.example/stack").env
    assert env["RESTIC_REPOSITORY"] == f"rest:https://m%40e%1b:{HIDDEN}@backup.example/stack"
    question = f"password of {harmless('m@e' + chr(27))} at the REST server"
    assert questions == ([((question,), {"hide_input": True, "err": True})] if asked else [])


def test_a_user_without_a_password_is_told_where_nobody_can_be_asked(noted: Noted) -> None:
    with pytest.raises(OpsError, match="password of user me at the REST server is missing") as caught:
        restic_at("rest:https://me@backup.example/stack", None, [], Path("/cache"))
    assert caught.value.exit_code == 2


@each_row(
    "place",
    [
        "rest:https://backup.example/stack", f"rest:https://me:{HIDDEN}@backup.example/stack",
        "sftp:me@backup.example:/stack", "sftp://me@backup.example//stack", "s3:https://backup.example/a@b",
    ],
)  # fmt: skip
def test_any_other_address_is_left_as_it_is_and_in_the_environment_too(noted: Noted, place: str) -> None:
    env = run_of(noted, place).env
    assert env["RESTIC_REPOSITORY"] == place


@each_row("login, warned", [(f"me:{HIDDEN}@", True), ("me@", False), ("", False)])
def test_a_password_in_the_address_is_warned_of_in_one_line(
    noted: Noted, login: str, warned: bool, tmp_path: Path
) -> None:
    words = ["recover", "--from", f"rest:https://{login}backup.example/stack", "--into", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--set", "nothing"])
    told = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert len(told) == int(warned)
    assert all("RESTIC_REST_PASSWORD" in line for line in told)
    assert HIDDEN not in done.output
    assert noted.commands == []
