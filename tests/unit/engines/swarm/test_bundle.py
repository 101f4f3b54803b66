"""The state directory as one file that travels."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.engines.swarm import bundle
from techsapo_ops.errors import OpsError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    for name, content in {
        "ledger/000001.json": "{}",
        "keys/app-key": "secret",
        "travel.json": "here",
        "lock": "",
        "certs.lock": "",
        "backups/full": "large",
        "run/supervisor.pid": "1",
        "jobs/backup/lock": "job",
    }.items():
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (state / "keys/app-key").chmod(0o600)
    (state / "elsewhere").symlink_to("/etc")
    return state


def test_it_is_the_same_elsewhere_and_nothing_of_this_host(state: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "keys").mkdir(parents=True)
    (other / "keys/gone").write_text("removed since")
    (other / "backups").mkdir()
    (other / "backups/own").write_text("stays")

    bundle.unpack(other, bundle.pack(state))

    found = sorted(path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file())
    assert found == ["backups/own", "jobs/backup/lock", "keys/app-key", "ledger/000001.json"]
    assert (other / "keys/app-key").stat().st_mode & 0o777 == 0o600
    assert bundle.pack(other) == bundle.pack(state)


def test_what_is_left_for_the_app_each_minute_stays_on_its_host(state: Path, tmp_path: Path) -> None:
    for where, content in ((state, "of this minute"), (tmp_path / "other", "its own")):
        (evidence := where / "generated/swarm/config/app/evidence/stack.json").parent.mkdir(parents=True)
        evidence.write_text(content)
    before = bundle.pack(state)
    assert b"of this minute" not in before
    bundle.unpack(tmp_path / "other", before)
    assert evidence.read_text() == "its own"


def test_the_same_content_is_the_same_bundle_whenever_it_was_written(state: Path) -> None:
    before = bundle.digest(bundle.pack(state))
    content = (state / "ledger/000001.json").read_bytes()
    (state / "ledger/000001.json").unlink()
    (state / "ledger/000001.json").write_bytes(content)
    assert bundle.digest(bundle.pack(state)) == before
    (state / "ledger/000001.json").write_text("{} ")
    assert bundle.digest(bundle.pack(state)) != before


def tar_of(*entries: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for each in entries:
            entry, content = (
                (each, b"") if isinstance(each, tarfile.TarInfo) else (tarfile.TarInfo(each[0]), each[1])
            )
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def of_type(kind: bytes, name: str = "keys/x", mode: int = 0o600) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, "keys/app-key"
    return entry


HOSTILE = [
    *(
        (name, b"x")
        for name in (
            "../outside", "/etc/outside", "keys/../../outside", "run/x", "backups/x", ".", "", "lock",
            "certs.lock", "keys/../lock", "keys/../run/supervisor.pid", "elsewhere/x", "./run/x",
            "recovery/fetched",
        )
    ),
    *map(of_type, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)),
    of_type(tarfile.GNUTYPE_SPARSE),
]  # fmt: skip


@each_row("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_one_of_another_shape_changes_nothing(
    state: Path, hostile: tuple[str, bytes] | tarfile.TarInfo
) -> None:
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    with pytest.raises(OpsError, match="an unknown format"):
        bundle.unpack(state, tar_of(("keys/app-key", b"another"), hostile))
    assert not (state.parent / "outside").exists()
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


@each_row("content", [b"", b"x" * 4096, gzip.compress(tar_of(("keys/app-key", b"x")))])
def test_what_is_no_bundle_changes_nothing(state: Path, content: bytes) -> None:
    with pytest.raises(OpsError, match="can't read the bundle"):
        bundle.unpack(state, content)
    assert (state / "keys/app-key").read_text() == "secret"


def test_no_file_of_it_lets_anybody_become_another_user(state: Path) -> None:
    bundle.unpack(state, tar_of(of_type(tarfile.REGTYPE, "x", 0o6755), of_type(tarfile.DIRTYPE, "d", 0o2750)))
    assert ((state / "x").stat().st_mode & 0o7777, (state / "d").stat().st_mode & 0o7777) == (0o755, 0o750)
    (state / "d").chmod(0o2750)
    changed = bundle.pack(state)
    (state / "d").chmod(0o750)
    assert bundle.pack(state) == changed, "a folder of a group's own is no change"


def test_whatever_is_in_the_place_of_what_travels_gives_way(state: Path, tmp_path: Path) -> None:
    folder, link, certificate = (tmp_path / name for name in ("folder", "link", "certificate"))
    (folder / "keys/app-key/deep").mkdir(parents=True)
    (folder / "keys/app-key/deep/file").write_text("x")
    (folder / "ledger").write_text("x")
    (link / "keys/aside").mkdir(parents=True)
    (link / "keys/app-key").symlink_to("aside")
    (link / "ledger").symlink_to("keys")
    (certificate / "certs/old/v1").mkdir(parents=True)
    (certificate / "certs/old/v1/key.pem").write_text("key")
    (certificate / "certs/old/live").symlink_to("v1")
    (certificate / "certs/old/renew.lock").touch()
    for other in (folder, link, certificate):
        bundle.unpack(other, bundle.pack(state))
        assert bundle.pack(other) == bundle.pack(state)
    assert not (link / "keys/000001.json").exists(), "a link leads nowhere"
    assert not (certificate / "certs").exists(), "it goes with its links and its lock, which do not travel"


def test_what_is_far_too_large_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_MOST", 4096)
    (state / "jobs/backup/log").write_bytes(b"x" * 8192)
    with pytest.raises(OpsError, match="jobs/backup/log"):
        bundle.pack(state)


def test_a_torn_answer_of_docker_holds_nothing() -> None:
    whole = bundle.single("state-1.tar", b"content" * 1000)
    assert bundle.only_file(whole) == b"content" * 1000
    assert bundle.only_file(whole[:700]) == b""
    assert bundle.only_file(b"") == b""


def test_of_a_recovery_its_journal_travels_and_not_what_it_has_fetched(state: Path, tmp_path: Path) -> None:
    for name in ("journal/recovery.json", "recovery/lock", "recovery/fetched/dump"):
        (path := state / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text("large")
    other = tmp_path / "other"
    (other / "recovery/restic-cache").mkdir(parents=True)
    bundle.unpack(other, bundle.pack(state))
    assert (other / "journal/recovery.json").exists()
    shutil.rmtree(state / "journal")
    bundle.unpack(other, bundle.pack(state))
    assert not (other / "journal").exists()
    assert [path.name for path in (other / "recovery").iterdir()] == ["restic-cache"], "that host's own"


def test_what_can_not_be_written_is_told_in_words(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "keys/app-key")

    monkeypatch.setattr(bundle, "write_atomic", full)
    with pytest.raises(OpsError, match=r"cannot update .*No space left on device"):
        bundle.unpack(state, tar_of(("keys/app-key", b"another")))


def sparse(name: str, size: int) -> bytes:
    """A file of nothing but a hole, as PAX has it: a regular one by its type."""
    entry = tarfile.TarInfo(name)
    entry.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": name, "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    content = f"1\n{size}\n0\n".encode().ljust(512, b"\0")
    entry.size = len(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_hole_is_no_file(state: Path) -> None:
    with pytest.raises(OpsError, match="an unknown format"):
        bundle.unpack(state, sparse("keys/x", 1 << 40))
    assert bundle.only_file(sparse("state-1.tar", 1 << 40)) == b""


def test_an_answer_of_docker_is_no_more_than_one_plain_file(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bundle.single("state-1.tar", b"content")
    assert bundle.only_file(gzip.compress(whole)) == b"", "a few bytes could be all of the memory here"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        assert bundle.only_file(tar_of(of_type(kind, "state-1.tar"), ("keys/app-key", b"x"))) == b""
    monkeypatch.setattr(bundle, "_LARGEST", 3)
    assert bundle.only_file(whole) == b""
