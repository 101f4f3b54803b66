"""What the native engine does as root where others have left links, second names and open files."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from stacks import host, spec, topology

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import open_file
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.textfile import write_textfile
from techsapo_ops.engines.native import daemon, launch, processes
from techsapo_ops.engines.native.access import scratch
from techsapo_ops.engines.native.engine import make_data_folders, make_folders
from techsapo_ops.engines.native.supervisor import Supervisor, SupervisorGoneError
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import RunLog
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.layout import Layout

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act for others"),
]

ALICE, NOBODY = 54321, 65534
SERVICE = "www-data"
"""A service's user that every Debian has."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    state = tmp_path / ".techsapo"
    state.mkdir()
    return Layout(state, state / "generated")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir(mode=0o700)
    (folder / "file").write_text("root's\n")
    return folder


def untouched(victim: Path) -> bool:
    """Whether the folder and its file are as the fixture made them."""
    facts, file = victim.stat(), victim / "file"
    return (
        (facts.st_uid, facts.st_mode & 0o777, [p.name for p in victim.iterdir()]) == (0, 0o700, ["file"])
        and file.stat().st_uid == 0
        and file.read_text() == "root's\n"
    )


@pytest.mark.parametrize("planter", [0, ALICE])
def test_a_link_in_place_of_a_data_folder_gives_a_service_nothing(
    layout: Layout, victim: Path, planter: int
) -> None:
    layout.data.mkdir()
    link = layout.data / "redis"
    link.symlink_to(victim)
    os.chown(link, planter, planter, follow_symlinks=False)
    with pytest.raises(OpsError, match=r"data/redis is a symbolic link"):
        owners.data_folder(link, SERVICE)
    assert untouched(victim)


def test_a_data_folder_of_roots_on_another_disk_is_kept(layout: Layout, tmp_path: Path) -> None:
    entry = pwd.getpwnam(SERVICE)
    disk = tmp_path / "disk"
    disk.mkdir()
    os.chown(disk, entry.pw_uid, entry.pw_gid)
    disk.chmod(0o750)
    layout.data.mkdir()
    (layout.data / "redis").symlink_to(disk)
    owners.data_folder(layout.data / "redis", SERVICE)


def test_a_second_name_of_a_file_of_roots_in_a_users_folder_is_not_handed_over(
    layout: Layout, victim: Path
) -> None:
    data = layout.data / "redis"
    data.mkdir(parents=True)
    os.chown(data, ALICE, ALICE)
    (data / "dump.rdb").hardlink_to(victim / "file")
    with pytest.raises(OpsError, match=r"dump\.rdb is a hard link to a file of uid 0"):
        owners.data_folder(data, SERVICE)
    assert untouched(victim)


def test_what_a_user_began_is_handed_over_with_links_as_links_and_its_own_second_names(
    layout: Layout, victim: Path
) -> None:
    uid = pwd.getpwnam(SERVICE).pw_uid
    data = layout.data / "prometheus"
    (data / "snapshots").mkdir(parents=True)
    (data / "block").write_text("1")
    (data / "snapshots" / "block").hardlink_to(data / "block")
    (data / "elsewhere").symlink_to(victim / "file")
    os.mkfifo(data / "pipe")
    for path in (data, *data.rglob("*")):
        os.chown(path, ALICE, ALICE, follow_symlinks=False)
    owners.data_folder(data, SERVICE)
    assert {path.lstat().st_uid for path in (data, *data.rglob("*"))} == {uid}
    assert untouched(victim)


def test_the_folder_of_nginx_whose_master_stays_root_is_not_its_workers(tmp_path: Path, victim: Path) -> None:
    facts = host(root=True, users=frozenset({SERVICE}))
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]})
    where = topology(wanted, tmp_path, facts=facts)
    desired = Desired(where, (), programs(where))
    program = desired.programs["nginx"]
    assert (program.user, where.of_kind("nginx")[0].user) == (None, SERVICE)
    folder, uid = program.directory, pwd.getpwnam(SERVICE).pw_uid
    (folder / "proxy").mkdir(parents=True)
    (folder / "nginx.pid").symlink_to(victim / "file")
    (folder / "body").symlink_to(victim)
    (folder / "scgi").hardlink_to(victim / "file")
    for path in (folder, *folder.iterdir()):
        if path.name != "scgi":
            os.chown(path, uid, uid, follow_symlinks=False)
    make_data_folders(desired)
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o7777) == (0, 0o755)
    assert {path.name: path.lstat().st_uid for path in folder.iterdir()} == {"proxy": uid, "acme": uid}
    (folder / "nginx.pid").write_text("1\n")
    make_data_folders(desired)
    assert (folder / "nginx.pid").read_text() == "1\n"
    assert untouched(victim)


def test_a_file_is_not_given_through_a_link_or_by_a_second_name(layout: Layout, victim: Path) -> None:
    layout.run.mkdir()
    (layout.run / "link").symlink_to(victim / "file")
    (layout.run / "second").hardlink_to(victim / "file")
    for name in ("link", "second"):
        with pytest.raises(OpsError):
            owners.give(layout.run / name, SERVICE)
    (layout.state / "keys").symlink_to(victim)
    with pytest.raises(OpsError, match="keys is a symbolic link"):
        owners.give(layout.keys / "file", SERVICE)
    assert untouched(victim)


@pytest.mark.parametrize("name", ["state", "run", "keys", "textfiles", "certs", "config", "data"])
def test_the_stacks_folders_are_not_made_through_a_link(layout: Layout, victim: Path, name: str) -> None:
    path: Path = getattr(layout, name)
    if name == "state":
        path.rmdir()
    path.symlink_to(victim)
    os.chown(path, ALICE, ALICE, follow_symlinks=False)
    with pytest.raises(OpsError, match="is a symbolic link"):
        make_folders(layout)
    assert untouched(victim)


def write_log(path: Path) -> None:
    from datetime import UTC, datetime

    said: list[str] = []
    log = RunLog(path, lambda: datetime.now(UTC), said.append, lambda _: None)
    log.line("appended")
    assert "is a symbolic link" in said[0]
    raise OpsError(said[0])


def lock(path: Path) -> None:
    with exclusive(path):
        pass


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("jobs/drift/lock", lock),
        ("jobs/drift/000001.log", write_log),
        ("logs/supervisord.err", lambda path: daemon.start(Layout(path.parents[1], path), path, os.environ)),
    ],
)
def test_no_file_is_written_through_a_link(
    layout: Layout, victim: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = layout.state / name
    path.parent.mkdir(parents=True)
    path.symlink_to(victim / "file")
    with pytest.raises(OpsError, match="is a symbolic link"):
        write(path)
    assert untouched(victim)


@pytest.mark.parametrize(
    "write",
    [
        lambda layout: write_textfile(layout.textfiles, "drift", ()),
        lambda layout: write_atomic(layout.textfiles / "below" / "drift.prom", b"x"),
    ],
)
def test_no_file_is_replaced_in_a_folder_behind_a_link(
    layout: Layout, victim: Path, write: Callable[[Layout], None]
) -> None:
    layout.textfiles.symlink_to(victim)
    with pytest.raises(OpsError, match="textfile is a symbolic link"):
        write(layout)
    assert untouched(victim)


def test_a_member_file_is_not_made_behind_a_link(layout: Layout, victim: Path) -> None:
    layout.run.mkdir()
    processes.members_folder(layout.run).symlink_to(victim)
    with pytest.raises(OSError, match="members"):
        launch.hold_membership(str(layout.state), "redis")
    assert untouched(victim)


def test_a_log_in_a_services_folder_is_not_a_second_name_of_roots(layout: Layout, victim: Path) -> None:
    folder = layout.state / "scratch" / "1.redis-x"
    folder.mkdir(parents=True)
    os.chown(folder, ALICE, ALICE)
    (folder / "server.log").hardlink_to(victim / "file")
    with pytest.raises(OpsError, match="has more than one hard link"):
        open_file(folder / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    assert untouched(victim)


@contextmanager
def sleeper(held: int | None = None, *, session: bool = False, **how: object) -> Iterator[psutil.Process]:
    """A process of somebody's that holds the file descriptor `held` open."""
    process = subprocess.Popen(
        ["/bin/sleep", "60"],
        pass_fds=() if held is None else (held,),
        start_new_session=session,
        **how,  # type: ignore[call-overload]
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def member_file(layout: Layout) -> Iterator[int]:
    """An open member file of a stack whose supervisor is gone."""
    folder = processes.members_folder(layout.run)
    folder.mkdir(parents=True)
    descriptor = os.open(folder / "redis", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def found(layout: Layout) -> list[int]:
    return [process.pid for process in processes.find(layout.state, layout.run)]


def test_a_process_of_another_user_is_no_member_whatever_it_holds_or_says(
    layout: Layout, member_file: int
) -> None:
    named = {"TECHSAPO_STATE": str(layout.state)}
    with sleeper(member_file, user=NOBODY, env=named) as foreign, sleeper(user=NOBODY, env=named) as other:
        assert found(layout) == []
        assert processes.end_all(layout.state, layout.run, grace=1) == 0
        daemon.shut_down(layout)
        assert foreign.is_running()
        assert other.is_running()


def test_a_process_of_roots_that_only_holds_the_file_is_no_member(layout: Layout, member_file: int) -> None:
    with sleeper(member_file, session=True) as backup:
        assert processes.end_all(layout.state, layout.run, grace=1) == 0
        assert backup.is_running()


def test_members_are_found_by_user_and_variable_by_user_and_file_and_by_session(
    layout: Layout, member_file: int
) -> None:
    named = {"TECHSAPO_STATE": str(layout.state)}
    service = pwd.getpwnam(SERVICE).pw_uid
    with (
        sleeper(env=named) as by_variable,
        sleeper(member_file, user=service) as by_file,
        sleeper(member_file, session=True) as by_session,
    ):
        (layout.run / "supervisord.pid").write_text(f"{by_session.pid}\n")
        assert sorted(found(layout)) == sorted([by_variable.pid, by_file.pid, by_session.pid])


def test_a_service_that_starts_ends_no_process_of_another_session(layout: Layout, member_file: int) -> None:
    import fcntl

    fcntl.flock(member_file, fcntl.LOCK_EX)
    code = (
        "import sys; from techsapo_ops.engines.native import launch\n"
        "launch._GRACE_SECONDS = 0.01; launch.hold_membership(sys.argv[1], 'redis')"
    )
    with sleeper(member_file, session=True) as foreign:
        words = [sys.executable, "-c", code, str(layout.state)]
        subprocess.run(words, check=True, start_new_session=True, timeout=30)
        assert foreign.is_running()
        assert foreign.status() != psutil.STATUS_ZOMBIE


def test_mariadbs_installer_works_in_no_folder_of_the_services_user(tmp_path: Path) -> None:
    """It gives the data folder away by name: the user of the service could put a link there meanwhile."""

    class Installer:
        owners: tuple[int, int] | None = None

        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            (data,) = (word.partition("=")[2] for word in command.argv if word.startswith("--datadir="))
            assert command.cwd is not None
            self.owners = command.cwd.stat().st_uid, (command.cwd / data).stat().st_uid
            return Completed(command, 1, b"", b"")

    wanted = spec(mysql={}, app={"instances": [{"port": 4000}]})
    where = topology(wanted, tmp_path, facts=host(root=True))
    service, installer = replace(where.of_kind("mysql")[0], user=SERVICE), Installer()
    where.layout.state.mkdir()
    with pytest.raises(OpsError, match="failed with code 1"), scratch(service, where, installer, {}):
        pass
    assert installer.owners == (0, pwd.getpwnam(SERVICE).pw_uid)


@pytest.mark.parametrize("planted", ["link", "second name"])
def test_a_data_folder_that_a_user_began_is_taken_over_for_a_service_of_roots_without_links(
    tmp_path: Path, victim: Path, planted: str
) -> None:
    wanted = spec(app={"instances": [{"port": 4000}]})
    where = topology(wanted, tmp_path, facts=host(root=True))
    (program,) = [p for p in programs(where) if p.service == "app"]
    (program.directory / "below").mkdir(parents=True)
    for path in (program.directory, program.directory / "below"):
        os.chown(path, ALICE, ALICE)
    desired = Desired(where, (), (program,))
    database = program.directory / "audit.sqlite"
    if planted == "link":
        database.symlink_to(victim / "file")
    else:
        database.hardlink_to(victim / "file")
    with pytest.raises(OpsError, match=r"audit\.sqlite is "):
        make_data_folders(desired)
    database.unlink()
    os.chown(program.directory, ALICE, ALICE)
    make_data_folders(desired)
    assert {path.stat().st_uid for path in (program.directory, program.directory / "below")} == {0}
    assert untouched(victim)


def test_no_supervisor_is_asked_in_a_folder_below_tmp_that_somebody_else_made(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 50)
    deep.mkdir(parents=True)
    layout = Layout(deep / ".techsapo", deep / ".techsapo" / "generated")
    layout.run.mkdir(parents=True)
    assert layout.socket_dir.parent == Path("/tmp")  # noqa: S108 - the product's own
    layout.socket_dir.mkdir()
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(layout.supervisor_socket))
            listener.listen()
            os.chown(layout.socket_dir, NOBODY, NOBODY)
            with pytest.raises(SupervisorGoneError, match="belongs to another user"):
                Supervisor(layout.supervisor_socket).pid()
            daemon.shut_down(layout)
            assert layout.supervisor_socket.exists()
    finally:
        shutil.rmtree(layout.socket_dir)
