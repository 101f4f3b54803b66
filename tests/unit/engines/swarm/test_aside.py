"""Copies on every machine of the backup by which a restore goes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.copies import fetch_aside, keep_aside


class Volumes:
    """A Runner: machines whose Docker has containers of one volume each, which are folders here.

    As Docker 26.1.5 answers; anything that no test needs is refused.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.away: set[str] = set()
        self.full: set[str] = set()
        self.made: dict[str, dict[str, str]] = {name: {} for name in "abc"}
        self.images: set[str] = set()

    def fleet(self) -> Fleet:
        return Fleet(self, "docker", {name: f"unix:///{name}" for name in "abc"})

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        machine, words = command.argv[2].rpartition("/")[2], command.argv[3:]
        if machine in self.away:
            return Completed(command, 1, b"", b"Cannot connect to the Docker daemon")
        made = self.made[machine]
        match words:
            case ("version", *_):
                return Completed(command, 0, b"26.1.5", b"")
            case ("image", "inspect", *_):
                return Completed(command, int(machine not in self.images), b"", b"No such image")
            case ("import", "-", _):
                self.images.add(machine)
            case ("container", "inspect", *_, name):
                return Completed(command, int(name not in made), b"", b"No such container")
            case ("container", "create", "--name", name, "--label", _, "--volume", mount, _, _):
                made[name] = mount.partition(":")[0]
                self.volume(machine, made[name]).mkdir(parents=True, exist_ok=True)
            case ("container", "rm", "--force", name):
                made.pop(name, None)
            case ("volume", "rm", "--force", volume):
                if volume in made.values():
                    return Completed(command, 1, b"", b"volume is in use")
                shutil.rmtree(self.volume(machine, volume), ignore_errors=True)
            case ("cp", source, target) if ":" in target:
                if machine in self.full:
                    return Completed(command, 1, b"", b"no space left on device")
                name, _, folder = target.partition(":")
                assert folder == "/aside/"
                shutil.copytree(source, self.volume(machine, made[name]) / Path(source).name)
            case ("cp", source, target):
                name, _, inside = source.partition(":")
                path = self.volume(machine, made.get(name, "none")) / inside.removeprefix("/aside/")
                if not path.exists():
                    return Completed(command, 1, b"", b"Could not find the file")
                shutil.copytree(path, target)
            case _:
                raise AssertionError(words)
        return Completed(command, 0, b"", b"")

    def volume(self, machine: str, name: str) -> Path:
        return self.root / machine / name


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path / "machines")


def backup(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "here" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(name)
    return folder


def test_each_machine_keeps_the_last_one_and_another_host_fetches_it(
    volumes: Volumes, tmp_path: Path
) -> None:
    fleet, there = volumes.fleet(), tmp_path / "there" / "backups"
    assert keep_aside(fleet, "shop", backup(tmp_path, "20260101T000000Z")) == {}
    assert keep_aside(fleet, "shop", backup(tmp_path, "20260102T000000Z")) == {}
    kept = {path.name for path in volumes.volume("c", "shop_aside").iterdir()}
    assert kept == {"20260102T000000Z"}, "not both"
    volumes.away = {"a"}
    assert fetch_aside(fleet, "shop", "20260102T000000Z", there)
    assert (there / "20260102T000000Z/manifest.json").read_text() == "20260102T000000Z"
    assert [path.name for path in there.iterdir()] == ["20260102T000000Z"]
    assert not fetch_aside(fleet, "shop", "20260101T000000Z", there)


def test_what_a_killed_fetch_left_is_in_nobodys_way(volumes: Volumes, tmp_path: Path) -> None:
    there = tmp_path / "there"
    keep_aside(volumes.fleet(), "shop", backup(tmp_path, "20260101T000000Z"))
    (there / "20260101T000000Z.partial").mkdir(parents=True)
    assert fetch_aside(volumes.fleet(), "shop", "20260101T000000Z", there)
    assert [path.name for path in there.iterdir()] == ["20260101T000000Z"]


def test_a_machine_that_takes_no_copy_is_told_and_the_others_have_theirs(
    volumes: Volumes, tmp_path: Path
) -> None:
    volumes.away, volumes.full = {"b"}, {"c"}
    told = keep_aside(volumes.fleet(), "shop", backup(tmp_path, "20260101T000000Z"))
    assert told == {"b": "no answer", "c": "no space left on device"}
    volumes.away = {"b", "c"}
    assert fetch_aside(volumes.fleet(), "shop", "20260101T000000Z", tmp_path / "there")
