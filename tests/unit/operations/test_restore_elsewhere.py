"""A restore whose host is lost half way: another one goes back from it, with the copy that it kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import MemoryEngine
from fakes.memory_project import MemoryProject
from machines_spec import machines_topology
from test_interrupted_restore import Killed, Letters, backup, read, states, undo, with_letters, write

from techsapo_ops.backup.elsewhere import Places
from techsapo_ops.backup.repository import repository_of
from techsapo_ops.engines.swarm import folders
from techsapo_ops.engines.swarm.folders import Folder
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup import intent as intents
from techsapo_ops.operations.backup import restore, telling
from techsapo_ops.operations.backup.intent import intend
from techsapo_ops.services.reached import first_reached
from techsapo_ops.stack.restore_journal import interrupted


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
        return {"c": "it does not answer"}

    def fetch(self, name: str, into: Path) -> bool:
        if there := (self.root / name).is_dir():
            shutil.copytree(self.root / name, into / name)
        return there

    def share(self, engine: MemoryEngine) -> None:
        if self.mute:
            raise OpsError("too few hosts take the state directory", "")
        if (left := interrupted(engine.layout)) is not None:
            self.shared.append((left.whole, self.root.exists()))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MemoryProject]:
    with with_letters(tmp_path / "project") as project:
        yield project


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Others:
    return Others(tmp_path / "others", monkeypatch)


def killed(*_: object) -> None:
    raise Killed


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
    assert "c keeps no copy of it: it does not answer" in said
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


def test_a_backup_that_others_can_not_be_told_of_is_one_all_the_same(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    stack: Any = made.stack()
    assert telling.shared(stack, lambda: done.append("alone")) == ""

    class Several:
        topology = machines_topology()
        layout = stack.layout
        engine = stack.engine

    def locked(*_: object) -> None:
        raise OpsError("no Swarm manager answers", "")

    several: Any = Several()
    monkeypatch.setattr(telling, "locked", locked)
    why = telling.shared(several, lambda: done.append("unheard"))
    assert why == "the other hosts don't know of it: no Swarm manager answers"
    assert done == ["alone", "unheard"]


def test_of_several_the_first_that_is_reached_is_worked_on() -> None:
    class Reached:
        topology = machines_topology()
        asked: list[str] = []

        class engine:  # noqa: N801 - as a stack names it
            there: set[str] = set()

            @classmethod
            def reaches(cls, name: str) -> bool:
                Reached.asked.append(name)
                return name in cls.there

    stack: Any = Reached()
    assert first_reached(stack, "prometheus").name == "prometheus-a", "who asks it tells why not"
    Reached.engine.there = {"prometheus-b"}
    assert first_reached(stack, "prometheus").name == "prometheus-b"


def test_folders_of_a_machine_that_does_not_answer_are_written_once_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else node exporter there told what jobs had found before it was away."""
    topology = machines_topology(tmp_path)
    (tmp_path / "textfile").mkdir()
    wanted = [Folder(f"node-exporter-{n}", f"textfile-{n}", tmp_path / "textfile", 65534) for n in "abc"]
    monkeypatch.setattr(folders, "_write", lambda *_: None)
    fleet: Any = type("Fleet", (), {"members": dict.fromkeys("abc")})()

    def write_to(*away: str) -> tuple[str, ...]:
        return folders.write(fleet, topology, wanted, "app", without=away)

    assert write_to() == ("a", "b", "c")
    (tmp_path / "textfile" / "backup.prom").write_text("techsapo_backups 1\n")
    assert write_to("c") == ("a", "b")
    assert write_to("c") == ()
    assert write_to() == ("c",)


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


def test_the_latest_is_not_restored_where_another_host_has_a_newer_one(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    stack = made.stack()
    repository = repository_of(stack)
    notes = stack.layout.state / "notes"
    theirs = {
        "id": "29991231T000000Z", "host": "elsewhere", "folder": "/srv/backups", "sources": ["letters"],
        "begun": "2999-12-31T00:00:00+00:00", "bytes": 1, "tag": "",
    }  # fmt: skip
    notes.mkdir()
    (notes / "theirs.json").write_text(json.dumps(theirs))
    repository.places = Places(notes, repository.path)
    monkeypatch.setattr(intents, "repository_of", lambda _: repository)
    with pytest.raises(OpsError, match="lies on elsewhere, in /srv/backups, and is newer than") as error:
        intend(stack)
    assert error.value.exit_code == 2
    assert intend(stack, old).backup.id == old
