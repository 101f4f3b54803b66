"""The state directory as one file that travels."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

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


def test_the_same_content_is_the_same_bundle_whenever_it_was_written(state: Path) -> None:
    before = bundle.digest(bundle.pack(state))
    content = (state / "ledger/000001.json").read_bytes()
    (state / "ledger/000001.json").unlink()
    (state / "ledger/000001.json").write_bytes(content)
    assert bundle.digest(bundle.pack(state)) == before
    (state / "ledger/000001.json").write_text("{} ")
    assert bundle.digest(bundle.pack(state)) != before


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "keys/../../outside", "run/x", "backups/x"])
def test_one_of_another_shape_is_refused(state: Path, name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(OpsError, match="another shape"):
        bundle.unpack(state, buffer.getvalue())
    assert not (state.parent / "outside").exists()
    assert (state / "keys/app-key").exists(), "nothing is removed for it"


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
