from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from techsapo_ops.certs.account import AcmeCa
from techsapo_ops.certs.material import Pair
from techsapo_ops.certs.self_signed import local_authority, sign
from techsapo_ops.certs.state import CertificateState
from techsapo_ops.certs.store import Origin, Store
from techsapo_ops.errors import OpsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Origin("self-signed")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "site")


def pair(tmp_path: Path) -> Pair:
    return sign(["example.com"], local_authority(tmp_path / ".ca", NOW), now=NOW)


def test_a_version_is_in_use_only_when_it_is_made_so(store: Store, tmp_path: Path) -> None:
    first, second = (store.put(pair(tmp_path), ORIGIN) for _ in range(2))
    assert (first.number, second.number) == (1, 2)
    assert store.live() is None
    store.activate(first)
    store.activate(second)
    assert store.live() == second
    assert store.chain.read_bytes() == second.pair.chain
    assert stat.S_IMODE((store.directory / "privkey.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(store.chain.stat().st_mode) == 0o644


def test_key_and_chain_change_together(store: Store, tmp_path: Path) -> None:
    versions = [store.put(pair(tmp_path), ORIGIN) for _ in range(2)]
    for version in versions:
        store.activate(version)
        links = [os.readlink(store.directory / n) for n in ("fullchain.pem", "privkey.pem")]  # noqa: PTH115
        assert links == ["live/fullchain.pem", "live/privkey.pem"]


def test_what_a_killed_run_left_is_no_version_and_goes_with_the_next(store: Store, tmp_path: Path) -> None:
    half = store.directory / "versions/.new-abc"
    half.mkdir(parents=True)
    (half / "privkey.pem").write_bytes(b"half")
    assert store.versions() == ()
    store.put(pair(tmp_path), ORIGIN)
    assert not half.exists()


def test_old_versions_go_but_not_the_one_in_use(store: Store, tmp_path: Path) -> None:
    first, *_ = [store.put(pair(tmp_path), ORIGIN) for _ in range(6)]
    store.activate(first)
    store.prune()
    assert [v.number for v in store.versions()] == [1, 4, 5, 6]


def test_the_state_comes_back_as_it_was_written(store: Store) -> None:
    state = CertificateState(
        deployed=2, hooks_pending=True, failures=3, failure="no", renewed_at=NOW,
        suggested_at=NOW, suggested_serial="ab",
    )  # fmt: skip
    assert store.state == CertificateState()
    store.remember(state)
    assert store.state == state
    (store.directory / "state.json").write_text("[1")
    with pytest.raises(OpsError, match="damaged"):
        _ = store.state


def test_a_disk_that_can_not_be_written_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.directory.mkdir()
    (store.directory / "versions").write_text("in the way")
    with pytest.raises(OpsError, match="cannot store certificate site"):
        store.put(pair(tmp_path), ORIGIN)
    assert [p.name for p in store.directory.iterdir()] == ["versions"]


def test_the_key_of_an_acme_account_is_its_owners_alone(tmp_path: Path) -> None:
    ca = AcmeCa("https://ca.example/dir")
    ca.server(tmp_path)
    folder = ca.folder(tmp_path)
    assert stat.S_IMODE((folder / "account.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
