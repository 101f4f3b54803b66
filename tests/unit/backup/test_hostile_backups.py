"""Backups that an attacker wrote: verify says so, restore writes nothing, and memory stays small."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import pytest
from fakes.open_stacks import stack_in, with_backup
from hostile import END, ID, entry, names_of
from rows import each_row

from techsapo_ops.backup.kinds import config_archive, registry
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.repository import manifest as manifests
from techsapo_ops.backup.repository.folder import Repository, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import Intent, intend
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.cli.backup.backups_view import backup_json
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

ARCHIVES = tuple(hostile.archives(Path("/victim"), "paths/x"))


@dataclass(frozen=True)
class Ground:
    """A stack of which `conf` is backed up, and a file that must never come to be."""

    stack: Stack
    conf: Path
    victim: Path

    @property
    def repository(self) -> Repository:
        return repository_of(self.stack)

    @property
    def inside(self) -> str:
        return f"paths/{str(self.conf).lstrip('/')}"

    def write(self, pieces: Iterable[bytes], files: dict[str, str]) -> None:
        """The one backup, by this stack's own key: nothing is looked into of any other."""
        repository = self.repository
        repository.make_key()
        hostile.write(repository.path, pieces, files, repository.keyring)

    def restore(self) -> Intent:
        intent = intend(self.stack, ID, ("config",))
        restore.perform(self.stack, intent)
        return intent

    def written(self) -> list[str]:
        return sorted(str(p.relative_to(self.conf)) for p in self.conf.rglob("*"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    top = tmp_path_factory.mktemp("hostile")
    return stack_in(top / "project", backup={"paths": [str(top / "conf")]})


def ground_in(stack: Stack, tmp_path: Path) -> Ground:
    """The stack with nothing of a test before, and its backups below `tmp_path`."""
    shutil.rmtree(stack.topology.layout.backup_keys, ignore_errors=True)
    conf = stack.directory.parent / "conf"
    shutil.rmtree(conf, ignore_errors=True)
    conf.mkdir()
    section = stack.spec.backup.model_copy(update={"path": str(tmp_path / "backups")})
    (tmp_path / "outside").mkdir()
    changed = with_backup(stack, section)
    return Ground(changed, conf, tmp_path / "outside" / "victim")


@pytest.fixture
def ground(stack: Stack, tmp_path: Path) -> Ground:
    return ground_in(stack, tmp_path)


@each_row("name", ARCHIVES)
def test_an_archive_that_none_of_ours_is_fails_to_verify_and_writes_nothing(
    name: str, stack: Stack, tmp_path: Path
) -> None:
    ground = ground_in(stack, tmp_path)
    pieces, files = hostile.archives(ground.victim, ground.inside)[name]()
    ground.write(pieces, files)
    found = verify_backup(ground.stack, ID, deep=True)
    assert not found.ok, found
    with pytest.raises(OpsError):
        ground.restore()
    assert list(ground.victim.parent.iterdir()) == []
    assert ground.written() == []


def test_only_what_the_spec_names_today_is_written_and_every_file_is_listed(
    stack: Stack, tmp_path: Path
) -> None:
    """The archive of the issue: it made a file of root's with setuid, anywhere."""
    ground = ground_in(stack, tmp_path)
    beside = f"paths/{ground.conf}-beside/file".replace("//", "/")
    pieces = (
        entry(f"paths/{str(ground.victim).lstrip('/')}", mode=0o6755),
        entry(beside, mode=0o755),
        entry(f"{ground.inside}/tool", mode=0o6755),
        entry(f"{ground.inside}/sticky", mode=0o1600),
        entry("api-keys/other.json"),
        entry("techsapo.yaml/below"),
        END,
    )
    ground.write(pieces, names_of(pieces))
    assert verify_backup(ground.stack, ID).ok
    intent = ground.restore()
    assert {t.path: (t.what, t.why) for t in intent.targets["config"]} == {
        str(ground.victim): ("left", "it is not under backup.paths"),
        f"/{beside.removeprefix('paths/')}": ("left", "it is not under backup.paths"),
        str(ground.conf / "sticky"): ("new", ""),
        str(ground.conf / "tool"): ("new", ""),
    }
    assert not ground.victim.exists()
    assert ground.written() == ["sticky", "tool"]
    assert [oct((ground.conf / name).stat().st_mode) for name in ground.written()] == ["0o100600", "0o100755"]
    assert not ground.stack.topology.layout.api_keys.parent.exists()


@each_row("planted", ["a folder on the way", "a folder on the way, after the look", "the file itself"])
def test_a_link_on_the_way_is_not_followed(planted: str, stack: Stack, tmp_path: Path) -> None:
    ground = ground_in(stack, tmp_path)
    name = f"{ground.inside}/sub/{ground.victim.name}"
    ground.write(pieces := (entry(name), END), names_of(pieces))
    before = intend(ground.stack, ID, ("config",))
    if planted == "the file itself":
        (ground.conf / "sub").mkdir()
        (ground.conf / "sub" / ground.victim.name).symlink_to(ground.victim)
    else:
        (ground.conf / "sub").symlink_to(ground.victim.parent)
    restored = partial(restore.perform, ground.stack, before) if "after" in planted else ground.restore
    with pytest.raises(OpsError, match=r"is a symbolic link"):
        restored()
    assert list(ground.victim.parent.iterdir()) == []


def test_an_archive_that_is_swapped_after_the_look_is_not_taken(ground: Ground) -> None:
    good = (entry(f"{ground.inside}/file", b"good"), END)
    ground.write(good, names_of(good))
    intent = intend(ground.stack, ID, ("config",))
    shutil.rmtree(ground.repository.path / ID)
    bad = (entry(f"{ground.inside}/file", b"bad!"), END)
    ground.write(bad, names_of(bad))
    with pytest.raises(OpsError, match=r"different content|SHA-256 differs"):
        restore.perform(ground.stack, intent)
    assert ground.written() == []


def test_a_list_of_digests_that_names_other_folders_reads_nothing_there(ground: Ground) -> None:
    ground.write(pieces := (entry(f"{ground.inside}/file"), END), names_of(pieces))
    sums = ground.repository.path / ID / "SHA256SUMS"
    sums.write_text(sums.read_text() + f"{'0' * 64}  ../../outside\n{'0' * 64}  /dev/zero\n")
    assert verify_backup(ground.stack, ID).problems == ("SHA256SUMS is missing or damaged",)


def test_a_part_that_is_a_link_or_a_pipe_is_not_opened(ground: Ground) -> None:
    ground.write(pieces := (entry(f"{ground.inside}/file"), END), names_of(pieces))
    part = ground.repository.path / ID / f"config-{ID}.tar.zst"
    kept = part.rename(ground.victim.parent / "kept")
    part.symlink_to(kept)
    assert not verify_backup(ground.stack, ID).ok
    part.unlink()
    os.mkfifo(part)
    assert not verify_backup(ground.stack, ID).ok


def test_every_wrong_value_in_a_manifest_is_damage_or_told_of(ground: Ground, tmp_path: Path) -> None:
    everything: dict[str, Any] = {
        "config": {"files": {"techsapo.yaml": "0" * 64}, "left_out": {"certs/privkey.pem": "it is secret"}},
        "redis": {
            "databases": {"0": {"keys": 1, "expires": 0}}, "changes": 0,
            "sample": [[0, "6b", "digest", "-1"]],
        },
        "mysql": {
            "database": "techsapo_audit", "exact": True, "binlog": {"file": "binlog.1", "position": 4},
            "views": 0, "triggers": 0, "routines": 0, "events": 0, "dump_seconds": 0.1,
            "objects": {},
            "tables": {"t": {"rows": 1, "engine": "InnoDB", "checksum": "1"}},
        },
        "sqlite:app": {"database": "audit.sqlite", "tables": {"t": {"rows": 1}}, "schema": "0"},
        "prometheus": {
            "blocks": {"01ABC": {"min_time": 1, "max_time": 2, "series": 1, "samples": 1}},
            "counted": {"time": 1769824800.0, "series": 1, "scrapes": 1},
        },
        "unheard-of": {"anything": 1},
    }  # fmt: skip
    parts = [
        {"kind": kind.replace("-", ""), "file": f"{number}.zst", "bytes": 1, "raw_bytes": 1,
         "sha256": "0" * 64, "seconds": 0.1, "server": "", "facts": facts}
        for number, (kind, facts) in enumerate(everything.items())
    ]  # fmt: skip
    whole = hostile.manifest({}, parts=parts)
    assert manifests.read(json.dumps(whole).encode(), "it").kinds[-1] == "unheardof"
    refused = 0
    for text in hostile.spoiled(whole):
        try:
            found = manifests.read(text, "it")
        except OpsError:
            refused += 1
            continue
        json.dumps(found.to_json(), ensure_ascii=False).encode()
        for part in found.parts:
            assert registry.describe(part)
    assert refused > 800


MANIFESTS: dict[str, Callable[[], bytes]] = {
    "nested 200,000 deep": hostile.nested,
    "without facts.files": lambda: json.dumps(
        hostile.manifest({}, {"facts": {"left_out": {}}})
    ).encode(),
    "with a million values": lambda: b'{"version": 1, "x": [' + b"," * 1_000_001 + b"1]}",
    "of a megabyte too much": lambda: b" " * (2 * 1024 * 1024),
    "of another backup": lambda: json.dumps(hostile.manifest({}, id="20260131T020001Z")).encode(),
    "with a part elsewhere": lambda: json.dumps(hostile.manifest({}, {"file": "../../secret"})).encode(),
    "with a file elsewhere": lambda: json.dumps(hostile.manifest({"templates//etc/x": "0" * 64})).encode(),
    "with 1,001 files": lambda: json.dumps(
        hostile.manifest({f"paths/{n}": "0" * 64 for n in range(1001)})
    ).encode(),
}  # fmt: skip


@each_row("name", MANIFESTS)
def test_a_manifest_that_none_of_ours_is_counts_as_damaged(
    name: str, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = ground_in(stack, tmp_path)
    monkeypatch.setattr(manifests, "LONGEST", 1_500_000)
    monkeypatch.setattr(config_archive, "MOST_FILES", 1000)
    ground.repository.make_key()
    hostile.described(ground.repository.path / ID, MANIFESTS[name](), ground.repository.keyring)
    found = verify_backup(ground.stack, ID)
    assert not found.ok
    assert any(
        "damaged" in s or "too large" in s or "belongs to another backup" in s for s in found.sentences
    )
    (listed,) = ground.repository.backups()
    json.dumps(backup_json(ground.repository, listed), ensure_ascii=False).encode()
    with pytest.raises(OpsError):
        intend(ground.stack, ID, ("config",))
    prune_backups(ground.stack)


CHILD = """
import resource, shutil, sys
from dataclasses import replace
from pathlib import Path
from techsapo_ops.cli.project import open_project
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.restore.intent import Intent, intend
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.restore import run
spec, *places = sys.argv[1:]
stack = open_stack(open_project(Path(spec)))
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + ROOM
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for place in places:
    section = stack.spec.backup.model_copy(update={"path": place})
    changed = replace(
        stack,
        topology=replace(stack.topology, spec=stack.spec.model_copy(update={"backup": section})),
    )
    found = verify_backup(changed, "2026")
    assert not found.ok, place
    print(found.sentences[0])
    try:
        intend(changed, "2026", only=("config",))
    except OpsError:
        continue
    raise AssertionError(place)
"""
ROOM = 96 * 1024 * 1024
"""Bytes of memory for all that is beyond Python and its packages."""
_SIZE = 128 * 1024 * 1024
_PIECES = (b"x" * (16 * 1024 * 1024),) * 8


def giants(inside: str) -> dict[str, tuple[Iterable[bytes], dict[str, str]]]:
    """Archives of some KB to some MB that unpack to more memory than ROOM."""
    one = {f"{inside}/00000000": "0" * 64}
    return {
        "different content": (hostile.bomb(f"{inside}/00000000", _SIZE), one),
        "can't be used": ((b"x" * 512, *_PIECES), one),
        f"a header claims to be {_SIZE} bytes long": (
            (hostile.header("././@LongLink", _SIZE, tarfile.GNUTYPE_LONGNAME), *_PIECES),
            one,
        ),
        f"claims to be {_SIZE} bytes long": ((hostile.header("pax", _SIZE, tarfile.XHDTYPE), *_PIECES), one),
        "more than 20,000 entries": (
            hostile.million(inside),
            {f"{inside}/{n:08d}": hashlib.sha256(b"").hexdigest() for n in range(20_000)},
        ),
    }


def test_little_that_unpacks_to_much_takes_little_memory(ground: Ground, tmp_path: Path) -> None:
    """131 KB took 4.1 GB. All are of one run, since to import Python's packages takes longest."""
    wanted = giants(ground.inside)
    ground.repository.make_key()
    places = [tmp_path / str(number) for number in range(len(wanted))]
    for place, (pieces, files) in zip(places, wanted.values(), strict=True):
        folder = hostile.write(place, pieces, files, ground.repository.keyring)
        assert sum(p.stat().st_size for p in folder.iterdir()) < 64 * 1024 * 1024
    hostile.described(tmp_path / "nested" / ID, hostile.nested(), ground.repository.keyring)
    spec = ground.stack.topology.layout.spec_file
    code = CHILD.replace("ROOM", str(ROOM))
    done = subprocess.run(
        [sys.executable, "-c", code, spec, *places, tmp_path / "nested"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for sentence, said in zip(wanted, done.stdout.splitlines(), strict=False):
        assert sentence in said
