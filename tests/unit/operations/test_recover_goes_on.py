"""A recovery that goes on after a kill, and one whose fetch fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from techsapo_ops.backup.offsite import Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.recover import run
from techsapo_ops.operations.recover.doors import Doors
from techsapo_ops.operations.recover.journal import Asked, Desk, Journal
from techsapo_ops.operations.recover.run import Recovery


class Quiet:
    """Doors whose listener hears nothing."""

    class listener:  # noqa: N801 - as it is called
        @staticmethod
        def warn(said: str) -> None:
            raise AssertionError(said)


@pytest.mark.parametrize("status", ["healthy", "degraded"])
def test_what_did_not_work_is_told_by_the_command_that_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    into = tmp_path / "new"
    desk = Desk(into / ".techsapo")
    failed = ("shop.test: DNS does not lead here", "techsapo certs renew shop")
    monkeypatch.setattr(Recovery, "_open", lambda _: None)
    monkeypatch.setattr(run, "certify", lambda *_: [failed])
    monkeypatch.setattr(Recovery, "_schedule", lambda *_: [])
    monkeypatch.setattr(run, "settled", lambda _: status)
    asked, done = Asked("/away"), dict.fromkeys(("fetch", "place", "up", "restore"), 1.0)
    with desk.lock():
        desk.write(Journal(asked, "1" * 64, "x", done=done, spec=str(into / "techsapo.yaml")))

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
    told = (failed,) if status == "healthy" else (failed, ("health says degraded", "techsapo health"))
    assert (found.status, found.remaining) == (status, told)


def test_once_placing_has_begun_nobody_is_asked_again_but_for_something_else(tmp_path: Path) -> None:
    desk, asked = Desk(tmp_path / "new/.techsapo"), Asked("/away")
    other = replace(asked, settings=("app.port=4100",))

    def agreed(now: Asked) -> bool:
        recovery = Recovery(cast(Restic, None), tmp_path / "new", desk, cast(Doors, Quiet()), lambda _: None)
        recovery.begin(now)
        return recovery.agreed

    with desk.lock():
        fetched = desk.write(Journal(asked, "1" * 64, "x", done={"fetch": 1.0}))
        assert not agreed(asked)
        desk.write(replace(fetched, made=("/etc/restic",)))
        assert agreed(asked)
        assert not agreed(other)
        assert not agreed(other)  # the first was killed at the question
        assert agreed(asked)


def test_a_disk_that_is_full_while_it_is_fetched_is_said_in_one_line(tmp_path: Path) -> None:
    class Full:
        def size(self, snapshot: str) -> int:
            return 1

        def restore(self, snapshot: str, target: Path) -> None:
            raise OpsError("restic restore failed with code 1: write /x: no space left on device\n" * 28)

    desk = Desk(tmp_path / "new/.techsapo")
    with desk.lock():
        desk.write(Journal(Asked("/away"), "1" * 64, "x"))
        recovery = Recovery(
            cast(Restic, Full()), tmp_path / "new", desk, cast(Doors, Quiet()), lambda _: None
        )
        recovery.begin(Asked("/away"))
        with pytest.raises(OpsError, match="is full: the copy did not come whole") as caught:
            recovery.fetch()
        assert "no space left" not in str(caught.value)
