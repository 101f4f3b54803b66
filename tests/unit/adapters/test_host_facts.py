from __future__ import annotations

import os
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import host
from techsapo_ops.adapters.host import find_binaries, shares_mounts, systemd_tells


def executable(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_the_first_folder_on_the_path_wins(tmp_path: Path) -> None:
    first = executable(tmp_path / "a/nginx")
    executable(tmp_path / "b/nginx")
    assert find_binaries(["nginx"], f"{tmp_path}/a:{tmp_path}/b") == {"nginx": str(first)}


def test_what_can_not_be_run_is_not_found(tmp_path: Path) -> None:
    executable(tmp_path / "bin/nginx", 0o644)
    (tmp_path / "bin/redis-server").mkdir()
    assert find_binaries(["nginx", "redis-server"], str(tmp_path / "bin")) == {}


def test_relative_entries_of_the_path_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "nginx")
    monkeypatch.chdir(tmp_path)
    assert find_binaries(["nginx"], ".::") == {}


def test_the_sbin_beside_a_system_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = executable(tmp_path / "sbin/nginx")
    monkeypatch.setattr(host, "_SIBLINGS", {str(tmp_path / "bin"): str(tmp_path / "sbin")})
    assert find_binaries(["nginx"], str(tmp_path / "bin")) == {"nginx": str(found)}
    assert find_binaries(["nginx"], str(tmp_path / "other")) == {}


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder below /tmp that other users can reach; pytest's own are 0700."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="techsapo-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def member(name: str = "nobody") -> host._User:
    user = host._User.named(name)
    assert user is not None
    return user


def test_a_user_reaches_an_open_folder_and_not_below_a_closed_one(open_folder: Path) -> None:
    inner = open_folder / "closed/inner"
    inner.mkdir(parents=True)
    assert member().reaches(inner)
    inner.parent.chmod(0o700)
    assert member().reaches(open_folder)
    assert not member().reaches(inner)


def test_a_link_into_a_closed_folder_is_not_reached(open_folder: Path) -> None:
    (open_folder / "closed/inner").mkdir(parents=True)
    (open_folder / "closed").chmod(0o700)
    link = open_folder / "link"
    link.symlink_to(open_folder / "closed/inner")
    assert not member().reaches(link)


def test_the_owner_s_bits_count_for_the_owner_even_when_others_may_more(open_folder: Path) -> None:
    (open_folder / "odd").mkdir(mode=0o755)
    (open_folder / "odd").chmod(0o005)
    owner = host._User("me", os.geteuid(), frozenset())
    assert not owner.may(open_folder / "odd", 1)
    assert host._User("x", 54321, frozenset()).may(open_folder / "odd", 1)


def test_a_group_grants_what_others_may_not(open_folder: Path) -> None:
    (open_folder / "g").mkdir()
    (open_folder / "g").chmod(0o750)
    group = (open_folder / "g").stat().st_gid
    assert host._User("x", 54321, frozenset({group})).reaches(open_folder / "g")
    assert not host._User("x", 54321, frozenset({group + 1})).reaches(open_folder / "g")


def test_a_script_must_be_readable_and_executable(open_folder: Path) -> None:
    user = host._User("x", 54321, frozenset())
    assert user.reads(executable(open_folder / "good", 0o755))
    assert not user.reads(executable(open_folder / "private", 0o700))


def test_systemd_is_asked_where_it_runs_and_there_is_a_bus_to_ask_it_on(tmp_path: Path) -> None:
    assert not systemd_tells(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert not systemd_tells(tmp_path)
    (tmp_path / "run/dbus").mkdir()
    (tmp_path / "run/dbus/system_bus_socket").touch()
    assert systemd_tells(tmp_path)


@each_row(
    "root, shared",
    [
        ("27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw", True),
        ("27 1 254:1 / / rw,relatime master:3 - ext4 /dev/vda1 rw", True),
        ("27 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw", False),
        ("27 1 254:1 / / rw,relatime unbindable - ext4 /dev/shared:1 rw", False),
    ],
)
def test_mounts_are_shared_where_init_has_made_the_root_so(root: str, shared: bool, tmp_path: Path) -> None:
    table = tmp_path / "proc/1/mountinfo"
    table.parent.mkdir(parents=True)
    table.write_text(f"22 27 0:21 / /proc rw,relatime shared:9 - proc proc rw\n{root}\n")
    assert shares_mounts(tmp_path) is shared
