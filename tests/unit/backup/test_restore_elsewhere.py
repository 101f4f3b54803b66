"""A restore whose host is lost half way: another one goes back from it, with the copy that it kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.letters import Killed, Letters, backup, killed, read, states, undo, write
from fakes.memory_engine import MemoryEngine
from fakes.memory_project import MemoryProject

from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.journal import START, interrupted


class Others:
    """What other machines have: a copy of a backup, and what was shared when."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.shared: list[tuple[bool, bool]] = []
        self.mute = False
        patch.setattr(MemoryEngine, "keep_aside", lambda _, folder: self.keep(folder))
        patch.setattr(MemoryEngine, "fetch_aside", lambda _, name, into: self.fetch(name, into))
        patch.setattr(MemoryEngine, "forget_aside", lambda _: shutil.rmtree(root, ignore_errors=True))
        patch.setattr(MemoryEngine, "share", lambda engine: self.share(engine))

    def keep(self, folder: Path) -> Mapping[str, str]:
        shutil.copytree(folder, self.root / folder.name)
        return {"c": "no answer"}

    def fetch(self, name: str, into: Path) -> bool:
        if there := (self.root / name).is_dir():
            shutil.copytree(self.root / name, into / name)
        return there

    def share(self, engine: MemoryEngine) -> None:
        if self.mute:
            raise OpsError("too few hosts accept the state directory", "")
        if (left := interrupted(engine.layout)) is not None:
            self.shared.append((left.step == START, self.root.exists()))


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Others:
    return Others(tmp_path / "others", monkeypatch)


def test_the_others_know_of_it_before_anything_is_replaced_and_once_it_is_whole(
    made: MemoryProject, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    write(made, "new")
    said: list[str] = []
    replace: Callable[..., None] = Letters.bring_back

    def bring_back(kind: Letters, stack: Any, *words: Any) -> None:
        assert others.shared == [(False, True)]
        replace(kind, stack, *words)

    monkeypatch.setattr(Letters, "bring_back", bring_back)
    restore.perform(made.stack(), intend(made.stack(), old), say=said.append)
    assert others.shared == [(False, True), (True, True)]
    assert "host c has no copy of the backup of the current data: no answer" in said
    assert not others.root.exists(), "of no use any more"


def test_where_its_own_host_is_lost_another_one_goes_back(
    made: MemoryProject, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    write(made, "new")
    with monkeypatch.context() as later:
        later.setattr(Letters, "broken", True)
        later.setattr(restore, "go_back", killed)
        with pytest.raises(Killed):
            restore.perform(made.stack(), intend(made.stack(), old))
    assert (read(made), states(made)["app"]) == ("half", "stopped")
    left = interrupted(made.stack().layout)
    assert left is not None
    shutil.rmtree(made.stack().layout.state / "backups")  # which stay on the host that made them
    undo(made)
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert interrupted(made.stack().layout) is None
    assert not others.root.exists()


def test_where_too_few_hosts_hear_of_it_nothing_is_replaced(made: MemoryProject, others: Others) -> None:
    old = backup(made, "old")
    write(made, "new")
    others.mute = True
    with pytest.raises(OpsError, match="too few hosts"):
        restore.perform(made.stack(), intend(made.stack(), old))
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert interrupted(made.stack().layout) is None


def test_a_restore_that_not_all_machines_can_take_part_in_stops_nothing(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")

    def away(_: MemoryEngine) -> None:
        raise OpsError("c can't be reached", "")

    monkeypatch.setattr(MemoryEngine, "announce", away)
    monkeypatch.setattr(MemoryEngine, "halt", killed)
    with pytest.raises(OpsError, match="c can't be reached"):
        restore.perform(made.stack(), intend(made.stack(), old))
    assert states(made)["app"] == "running"
