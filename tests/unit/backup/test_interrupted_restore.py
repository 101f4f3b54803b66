"""What a killed restore leaves: nothing answers from it, everything tells, and there is a way out."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
import typer
from fakes.letters import Killed, Letters, backup, half, killed, read, states, undo, write
from fakes.memory_project import MemoryProject

from techsapo_ops.apply.stop import restart, start_services, stop_services
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.restore import going_back
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.cli.apply import plan as plan_command
from techsapo_ops.cli.apply import up as up_command
from techsapo_ops.cli.apply.up import Wanted
from techsapo_ops.cli.backup import restore as restore_command
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch.services_view import next_step
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.journal import (
    REPLACE,
    START,
    Journal,
    Operation,
    Replaced,
    interrupted,
    require_ended,
)
from techsapo_ops.stack.observed import FOLDER_GONE
from techsapo_ops.watch.health.check import check


def test_nothing_starts_an_app_on_what_it_left(made: MemoryProject) -> None:
    stack = half(made, backup(made, "new"))
    for attempt in (
        lambda: restart(stack.engine, ()),
        lambda: restart(stack.engine, ("app",)),
        lambda: start_services(stack, ["app"]),
        lambda: made.rollback("@1"),
    ):
        with pytest.raises(OpsError, match="neither the old state nor the backup") as refused:
            attempt()
        assert "`techsapo up` returns to the state before the restore" in (refused.value.hint or "")
    assert states(made) == {"redis": "running", "app": "stopped"}
    assert restart(stack.engine, ("redis",)) == ("redis",), "a server has to run to go back"
    stop_services(stack, ["redis"])
    assert start_services(stack, ["redis"]).services == ("redis",)
    undo(made)
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert restart(stack.engine, ("app",)) == ("app",)


def test_health_and_drift_say_so_and_what_to_do_and_not_while_a_restore_is_at_work(
    made: MemoryProject,
) -> None:
    stack = half(made, backup(made, "new"))

    def told() -> list[str]:
        return [p.name for p in check(stack, timeout=0.5, now=datetime.now(UTC)).failing]

    assert "restore" in told()
    report = check(stack, timeout=0.5, now=datetime.now(UTC))
    assert next_step(report) in {"techsapo up", next(p.hint for p in report.failing if p.name == "restore")}
    assert ("restore", "restore", "was interrupted: `techsapo up` undoes it") in made.findings()
    with at_work(stack.layout, 0.0):
        assert "restore" not in told()
        assert "restore" not in [kind for kind, _, _ in made.findings()]
    undo(made)
    assert "restore" not in told()
    assert made.findings() == []


def test_plan_says_that_up_goes_back_first_and_a_plan_that_does_not_is_refused_before_anything_is_done(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half(made, backup(made, "new"))
    place = SpecChoice(made.folder / "techsapo.yaml")
    place.file.write_text("project: demo\n")
    monkeypatch.setattr(plan_command, "open_stack", lambda *_: made.stack())
    with pytest.raises(typer.Exit):
        plan_command.plan(place=place, out=Output())
    shown = " ".join(capsys.readouterr().err.split())
    assert "`techsapo up` returns to the state before the restore" in shown
    monkeypatch.setattr(up_command, "by_plan", lambda *_: Wanted(place, None, ()))
    monkeypatch.setattr(up_command, "stack_on", lambda *_, **__: made.stack())
    with pytest.raises(OpsError, match="a restore was interrupted halfway"):
        up_command.up(place=place, saved=made.folder / "change.plan", yes=True, out=Output())
    assert (read(made), states(made)["app"]) == ("half", "stopped")


def test_what_an_app_wrote_once_the_data_was_whole_is_not_thrown_away(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    write(made, "new")

    with monkeypatch.context() as later:
        later.setattr(restore, "start_apps", killed)
        later.setattr(restore, "go_back", killed)  # a kill lets nothing of it happen
        later.setattr(restore, "note_half", lambda _: None)
        with pytest.raises(Killed):
            restore.perform(made.stack(), intend(made.stack(), old))
    left = interrupted(made.stack().layout)
    assert left.step == START
    require_ended(made.stack().layout, Operation.RESTORE)  # it may be backed up
    restart(made.stack().engine, ("app",))  # and asked
    write(made, "old, and a day's answers")
    undo(made)
    made.up()
    assert read(made) == "old, and a day's answers"
    assert interrupted(made.stack().layout) is None
    assert states(made)["app"] == "running"


def test_going_back_that_is_killed_at_its_last_step_does_not_go_back_again(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(made, backup(made, "new"))

    with monkeypatch.context() as later:
        later.setattr(going_back, "start_apps", killed)
        with pytest.raises(Killed):
            undo(made)
    assert read(made) == "new"
    write(made, "new, and more")
    undo(made)
    assert read(made) == "new, and more"


def test_where_what_was_there_is_lost_another_backup_takes_its_place(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, safety = backup(made, "old"), backup(made, "new")
    half(made, safety)
    folder = repository_of(made.stack()).find(safety).folder
    (part,) = folder.glob("letters-*.zst")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(OpsError, match="undoing the restore failed") as refused:
        undo(made)
    assert "`techsapo restore ID --instead`" in (refused.value.hint or "")
    assert "is whole in" not in (refused.value.hint or "")
    assert refused.value.exit_code == 1

    monkeypatch.setattr(restore_command, "open_stack", lambda _: made.stack())
    (made.folder / "techsapo.yaml").write_text("project: demo\n")

    def bring(which: str) -> None:
        place = SpecChoice(made.folder / "techsapo.yaml")
        restore_command.restore(which, instead=True, yes=True, place=place, out=Output())

    with pytest.raises(OpsError, match="needs the id of a backup"):
        bring("latest")
    with monkeypatch.context() as broken:
        broken.setattr(Letters, "broken", True)
        with pytest.raises(OpsError, match="the file is read-only"):
            bring(old)
    left = interrupted(made.stack().layout)
    assert (left.facts, left.step) == (Replaced(safety, ("letters",), ("app",)), REPLACE)
    assert states(made)["app"] == "stopped"
    bring(old)
    assert (read(made), states(made)["app"]) == ("old", "running")
    assert interrupted(made.stack().layout) is None


def test_another_backup_that_lacks_what_was_replaced_is_refused(made: MemoryProject) -> None:
    old = backup(made, "old")
    stack = made.stack()
    left = Replaced("", ("letters", "redis"), ("app",))
    with pytest.raises(OpsError, match="redis would be left half restored"):
        restore.perform_instead(stack, intend(stack, old), left)
    assert states(made)["app"] == "running"


def test_on_a_full_disk_the_app_starts_again_once_the_data_is_as_it_was(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    half(made, backup(made, "new"))

    def full(*_: object) -> None:
        raise OpsError("cannot write restore.json: No space left on device", "the disk is full")

    with monkeypatch.context() as later:
        later.setattr(Journal, "reach", full)
        undo(made)
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert interrupted(made.stack().layout) is None


def test_a_restore_waits_for_up_where_a_data_folder_was_removed_under_a_service(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    stack = made.stack()
    seen = stack.engine.observe()
    services = {**seen.services, "app": dataclasses.replace(seen.services["app"], drift=FOLDER_GONE)}
    gone = dataclasses.replace(seen, services=services)
    monkeypatch.setattr(stack.engine, "observe", lambda **_: gone)
    with pytest.raises(
        OpsError, match="app: the data folder was removed while the service was running"
    ) as refused:
        intend(stack, old)
    assert "`techsapo up` starts it with a new folder" in (refused.value.hint or "")
    assert states(made)["app"] == "running", "nothing was stopped for it"
    (found,) = [p for p in check(stack, timeout=0.5, now=datetime.now(UTC)).failing if p.kind == "data"]
    assert found.detail == "the data folder of app was removed; the data is lost when these services stop"
