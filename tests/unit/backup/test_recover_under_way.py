"""A recovery that did not end: going on with it, and giving it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rows import each_row

from techsapo_ops.backup.recover import run
from techsapo_ops.backup.recover.journal import Asked, Desk, Recovering
from techsapo_ops.backup.recover.run import Recovery, abandon
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack


class NoDoors:
    """Doors of a recovery that has installed no schedule, and of a stack that does not open."""

    def __init__(self, warn: Callable[[str], object] = print) -> None:
        self.listener = SimpleNamespace(warn=warn)

    def open(self, file: Path, environment: str | None, engine: str | None) -> Stack:
        raise OpsError(f"{file} is broken")

    def remove_schedule(self, file: Path, environment: str | None) -> None:
        raise AssertionError(file)


def recovery_of(desk: Desk, warn: Callable[[str], object] = print) -> Recovery:
    return Recovery(None, desk.state.parent, desk, NoDoors(warn), lambda _: None)


def under_way(folder: Path) -> Desk:
    """A recovery into `folder` that was killed after it had placed a spec and a file elsewhere."""
    desk = Desk(folder / "new/.techsapo")
    (folder / "etc").mkdir(parents=True)
    made = (folder / "etc/restic", folder / "new/techsapo.yaml")
    with desk.lock():
        desk.journal.begin(
            Recovering(Asked("/away"), "1" * 64, "x", made=tuple(map(str, made)), spec=str(made[1]))
        )
        desk.journal.done("place", 1.0)
        desk.journal.reach("up")
    for path in (*made, folder / "etc/other", folder / "new/mine"):
        path.touch()
    return desk


def test_what_is_given_up_is_stopped_and_what_it_made_goes_and_nothing_else(tmp_path: Path) -> None:
    desk, stopped = under_way(tmp_path), list[Path]()
    gone = abandon(desk, NoDoors(), stopped.append)
    assert stopped == [tmp_path / "new/techsapo.yaml"]
    assert gone[-1] == str(desk.state)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["etc", "mine", "new", "other"]
    with pytest.raises(OpsError, match="no recovery is under way"):
        abandon(desk, NoDoors(), stopped.append)


def test_folders_that_it_made_go_with_it_where_they_are_empty_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    desk = Desk(tmp_path / "there/new/deep/.techsapo")
    outside = tmp_path / "there/etc/restic/password"
    with desk.lock():
        desk.journal.begin(
            Recovering(Asked("/away"), "1" * 64, "x", folders=tuple(map(str, desk.folders))), "place"
        )
        for path in (outside, desk.state.parent / "recovered/one", desk.state.parent / "techsapo.yaml"):
            desk.journal.making(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (outside.parent / "mine").touch()
    gone = abandon(desk, NoDoors(), print)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "there", "there/etc", "there/etc/restic", "there/etc/restic/mine",
    ]  # fmt: skip
    assert gone[-2:] == (str(tmp_path / "there/new/deep"), str(tmp_path / "there/new"))


def test_a_recovery_that_is_at_work_is_not_given_up_under_its_feet(tmp_path: Path) -> None:
    desk, stopped = under_way(tmp_path), list[Path]()
    with desk.lock(), pytest.raises(OpsError, match="is working on this recovery"):
        abandon(desk, NoDoors(), stopped.append)
    assert not stopped
    assert (tmp_path / "etc/restic").exists()


def test_a_login_in_the_address_of_the_repository_is_neither_shown_nor_recorded(tmp_path: Path) -> None:
    desk = under_way(tmp_path)
    asked = Asked("rest:https://me:hidden@backup.example/stack")
    assert desk.journal.read() is not None
    desk.journal.note(asked=asked)
    recovery = recovery_of(desk)
    with pytest.raises(OpsError, match="was started with another --from: first rest:https://") as other:
        recovery.begin(replace(asked, repository="rest:https://me:wrong@backup.example/stack"))
    assert "hidden" not in other.value.message + (other.value.hint or "")
    recovery.begin(asked)
    with pytest.raises(OpsError, match="is broken"):
        recovery.run(None)
    record = "".join(p.read_text() for p in Layout(desk.state, desk.state).administration.iterdir())
    assert "backup.example/stack" in record
    assert "hidden" not in record


def test_once_placing_has_begun_nobody_is_asked_again_but_for_something_else(tmp_path: Path) -> None:
    desk, asked = Desk(tmp_path / "new/.techsapo"), Asked("/away")
    other = replace(asked, settings=("app.port=4100",))

    def agreed(now: Asked) -> bool:
        recovery = recovery_of(desk, pytest.fail)
        recovery.begin(now)
        return recovery.agreed

    with desk.lock():
        desk.journal.begin(Recovering(asked, "1" * 64, "x"))
        desk.journal.done("fetch", 1.0)
        assert not agreed(asked)
        desk.journal.note(made=("/etc/restic",))
        assert agreed(asked)
        assert not agreed(other)
        assert not agreed(other)  # the first was killed at the question
        assert agreed(asked)


@each_row("status", ["healthy", "degraded"])
def test_what_did_not_work_is_said_by_the_command_that_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    desk = Desk(tmp_path / "new/.techsapo")
    failed = ("shop.test: DNS does not lead here", "techsapo certs renew shop")
    monkeypatch.setattr(Recovery, "_open", lambda _: SimpleNamespace(layout=None, spec=None))
    monkeypatch.setattr(run, "certify", lambda *_: [failed])
    monkeypatch.setattr(Recovery, "_schedule", lambda *_: [])
    monkeypatch.setattr(run, "settled", lambda _: status)
    monkeypatch.setattr(run, "working_now", lambda *_: ())
    asked = Asked("/away")
    with desk.lock():
        desk.journal.begin(Recovering(asked, "1" * 64, "x", spec=str(tmp_path / "new/techsapo.yaml")))
        for step in ("fetch", "place", "up", "restore"):
            desk.journal.done(step, 1.0)

        def again() -> Recovery:
            recovery = recovery_of(desk, pytest.fail)
            recovery.begin(asked)
            return recovery

        def killed(_: Desk) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Desk, "clear", killed)
            with pytest.raises(KeyboardInterrupt):
                again().run(None)
        found = again().run(None)
    said = (failed,) if status == "healthy" else (failed, ("health says degraded", "techsapo health"))
    assert (found.status, found.remaining) == (status, said)
