"""What is told of this host: programs, folders that a user reaches, kernels, ports and who holds them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rows import each_row
from servers import free_port, tcp_open, wait_for

from techsapo_ops.adapters import host
from techsapo_ops.adapters.held import belongs_to, is_free, listeners, port_holder
from techsapo_ops.adapters.host import find_binaries, shares_mounts, systemd_tells
from techsapo_ops.adapters.packages import reboot_reason


def executable(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_a_program_is_the_first_on_the_path_that_can_be_run_or_in_the_sbin_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executable(tmp_path / "nginx")
    executable(tmp_path / "none/nginx", 0o644)
    (tmp_path / "none/redis-server").mkdir()
    names = ["nginx", "redis-server"]
    assert find_binaries(names, f".::{tmp_path}/none") == {}, "relative entries are passed over"
    first = executable(tmp_path / "a/nginx")
    executable(tmp_path / "b/nginx")
    assert find_binaries(names, f"{tmp_path}/none:{tmp_path}/a:{tmp_path}/b") == {"nginx": str(first)}
    monkeypatch.setattr(host, "_SIBLINGS", {str(tmp_path / "none"): str(tmp_path / "sbin")})
    beside = executable(tmp_path / "sbin/nginx")
    assert find_binaries(names, str(tmp_path / "none")) == {"nginx": str(beside)}


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder below /tmp that other users can reach; pytest's own are 0700."""
    with tempfile.TemporaryDirectory(prefix="techsapo-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def member(name: str = "nobody") -> host._User:
    user = host._User.named(name)
    assert user is not None
    return user


def test_a_user_reaches_an_open_folder_and_not_below_a_closed_one_nor_by_a_link(open_folder: Path) -> None:
    inner, link = open_folder / "closed/inner", open_folder / "link"
    inner.mkdir(parents=True)
    link.symlink_to(inner)
    assert member().reaches(inner)
    inner.parent.chmod(0o700)
    assert member().reaches(open_folder)
    assert not member().reaches(inner)
    assert not member().reaches(link)


def test_of_owner_group_and_others_the_first_that_fits_counts(open_folder: Path) -> None:
    odd, shared = open_folder / "odd", open_folder / "shared"
    odd.mkdir()
    odd.chmod(0o005)
    assert not host._User("me", os.geteuid(), frozenset()).may(odd, 1)
    assert host._User("x", 54321, frozenset()).may(odd, 1)
    shared.mkdir()
    shared.chmod(0o750)
    group = shared.stat().st_gid
    assert host._User("x", 54321, frozenset({group})).reaches(shared)
    assert not host._User("x", 54321, frozenset({group + 1})).reaches(shared)


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


RUNS = "6.12.43+deb13-amd64"


@each_row(
    "installed, told",
    [
        ([RUNS], ""),
        ([], ""),
        ([RUNS, "6.12.48+deb13-amd64"], "but 6.12.48+deb13-amd64 is installed"),
        ([RUNS, "6.12.9+deb13-amd64"], ""),
        ([RUNS, "6.12.48+deb13-cloud-amd64"], ""),
    ],
)
def test_a_newer_kernel_of_the_same_flavour_asks_for_a_reboot(
    tmp_path: Path, installed: list[str], told: str
) -> None:
    for release in installed:
        (tmp_path / f"vmlinuz-{release}").touch()
    found = reboot_reason(tmp_path, tmp_path / "asked", RUNS)
    assert told in found
    assert bool(found) == bool(told)


def test_a_package_that_asks_for_a_reboot_is_named(tmp_path: Path) -> None:
    asked = tmp_path / "reboot-required"
    asked.write_text("*** System restart required ***\n")
    assert "a package requires a reboot" in reboot_reason(tmp_path / "boot", asked, RUNS)
    (tmp_path / "reboot-required.pkgs").write_text("libc6\nlibc6\ndbus\n")
    assert "dbus, libc6 requires" in reboot_reason(tmp_path / "boot", asked, RUNS)


LISTEN = (
    "import socket,sys; s=socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
    "sys.stdin.read()"
)


def listening(port: int, cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN, str(port), *words], stdin=subprocess.PIPE, cwd=cwd
    )
    wait_for(lambda: tcp_open(port), what="listener")
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(b"")


def test_the_holder_of_a_port_is_named_with_pid_and_user_without_its_arguments(tmp_path: Path) -> None:
    port = free_port()
    process = listening(port, tmp_path, "--password=hunter2")
    try:
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid == process.pid
        assert holder.command.startswith("python")
        assert f"pid {process.pid}" in str(holder)
        assert str(holder.user) in str(holder)
        assert "hunter2" not in str(holder)
        assert port in listeners()
    finally:
        end(process)
    assert port_holder(port) is None


def test_a_taken_port_is_not_free_and_a_closed_one_is() -> None:
    for family, host_, others in ((socket.AF_INET, "127.0.0.1", "0.0.0.0"), (socket.AF_INET6, "::1", "::1")):
        with socket.socket(family) as taken:
            taken.bind((host_, 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert not is_free(host_, port)
            assert not is_free(others, port)
        wait_for(lambda host_=host_, port=port: is_free(host_, port), what="the port of a closed socket")


def test_a_process_that_works_in_the_folder_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "state/data").mkdir(parents=True)
    port = free_port()
    process = listening(port, tmp_path / "state/data")
    try:
        assert belongs_to(process.pid, tmp_path / "state")
        assert not belongs_to(process.pid, tmp_path / "sta")
        assert not belongs_to(process.pid, tmp_path / "other")
    finally:
        end(process)


def test_a_process_that_names_the_folder_belongs_to_it_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    program = f"import subprocess,sys; subprocess.run([sys.executable,'-c',{LISTEN!r},'{port}'])"
    parent = subprocess.Popen(
        [sys.executable, "-c", program, f"{tmp_path}/state/run/supervisord.conf"],
        stdin=subprocess.PIPE,
        cwd="/",
    )
    try:
        wait_for(lambda: tcp_open(port), what="child")
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid not in {None, parent.pid}
        assert belongs_to(holder.pid or 0, tmp_path / "state")
        assert not belongs_to(holder.pid or 0, tmp_path / "else")
    finally:
        end(parent)
