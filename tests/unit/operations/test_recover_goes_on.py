"""A recovery that goes on after a kill, and one whose fetch fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from rows import each_row

from techsapo_ops.backup.offsite import Restic
from techsapo_ops.operations.recover import run
from techsapo_ops.operations.recover.doors import Doors
from techsapo_ops.operations.recover.journal import Asked, Desk, Recovering
from techsapo_ops.operations.recover.run import Recovery
from techsapo_ops.stack.stack import Stack


class Quiet:
    """Doors whose listener hears nothing."""

    class listener:  # noqa: N801 - as it is called
        @staticmethod
        def warn(said: str) -> None:
            raise AssertionError(said)


def test_once_placing_has_begun_nobody_is_asked_again_but_for_something_else(tmp_path: Path) -> None:
    desk, asked = Desk(tmp_path / "new/.techsapo"), Asked("/away")
    other = replace(asked, settings=("app.port=4100",))

    def agreed(now: Asked) -> bool:
        recovery = Recovery(cast(Restic, None), tmp_path / "new", desk, cast(Doors, Quiet()), lambda _: None)
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
    into = tmp_path / status / "new"
    desk = Desk(into / ".techsapo")
    failed = ("shop.test: DNS does not lead here", "techsapo certs renew shop")
    monkeypatch.setattr(Recovery, "_open", lambda _: SimpleNamespace(layout=None, spec=None))
    monkeypatch.setattr(run, "certify", lambda *_: [failed])
    monkeypatch.setattr(Recovery, "_schedule", lambda *_: [])
    monkeypatch.setattr(run, "settled", lambda _: status)
    monkeypatch.setattr(run, "working_now", lambda *_: ())
    asked = Asked("/away")
    with desk.lock():
        desk.journal.begin(Recovering(asked, "1" * 64, "x", spec=str(into / "techsapo.yaml")))
        for step in ("fetch", "place", "up", "restore"):
            desk.journal.done(step, 1.0)

        def again() -> Recovery:
            recovery = Recovery(cast(Restic, None), into, desk, cast(Doors, Quiet()), lambda _: None)
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


@each_row("left", [None, "an entry"])
def test_servers_that_a_killed_restore_had_stopped_are_started_before_they_are_given_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: object
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(run, "interrupted", lambda _: left)
    monkeypatch.setattr(run, "go_back_if_interrupted", lambda *_, **__: calls.append("back"))
    monkeypatch.setattr(run, "start", lambda *_: calls.append("up"))
    monkeypatch.setattr(run, "fill", lambda *_: calls.append("fill"))
    monkeypatch.setattr(run, "restorable", lambda *_: ("redis",))
    for name in ("_choice", "_copied"):
        monkeypatch.setattr(Recovery, name, lambda *_: None)
    desk = Desk(tmp_path / "new/.techsapo")
    recovery = Recovery(cast(Restic, None), tmp_path / "new", desk, cast(Doors, Quiet()), lambda _: None)
    with desk.lock():
        desk.journal.begin(Recovering(Asked("/away"), "1" * 64, "x"))
        recovery.begin(Asked("/away"))
        recovery._restore(cast(Stack, SimpleNamespace(layout=None)))
    assert calls == (["back", "up", "fill"] if left is not None else ["fill"])
