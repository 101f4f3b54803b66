"""Which processes of this host belong to a stack, what they really are, and how they are ended."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.engines.native.launch import MEMBERS, STATE_VARIABLE
from techsapo_ops.engines.native.supervisor import Process, Supervisor, SupervisorGoneError, session
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import all_of, msg
from techsapo_ops.services.registry import kind_of, service_users
from techsapo_ops.stack.desired import Desired, Program
from techsapo_ops.stack.engine import Mismatch
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    import psutil


def members_folder(run: Path) -> Path:
    """Folder of the files that the stack's processes keep open; see `launch.hold_membership`."""
    return run / MEMBERS


def find(state: Path, run: Path, supervisor: int | None = None) -> list[psutil.Process]:
    """Every process of the stack at `state`, supervisord included, whoever its parent is by now.

    A process belongs where it runs as one of the stack's users and its environment names the state
    directory, or where it has the stack's member file open (nginx and redis overwrite the environment that
    can be seen). Anybody can set a variable or get hold of a file, so neither counts for a user that the
    stack does not have; and since a file can be handed to a process of root's, that one belongs by its file
    only in the session of `supervisor` (by default the one in `run`), which nobody can enter. This process
    and those that started it are left out. Without root, only the own user's processes are seen; it started
    no others.
    """
    import psutil

    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    stack = _Stack(str(state), f"{members_folder(run)}/", _users(state), supervisor or session(run))
    return [p for p in psutil.process_iter() if p.pid not in own and stack.has(p)]


def _users(state: Path) -> frozenset[int]:
    """Users as whom the stack's processes run: whoever runs the tool, who ran it, the services' own."""
    users = {os.getuid(), os.geteuid()}
    with suppress(FileNotFoundError):
        users.add(state.stat().st_uid)
    for name in service_users():
        with suppress(KeyError):  # not on this host
            users.add(pwd.getpwnam(name).pw_uid)
    return frozenset(users)


@dataclass(frozen=True, slots=True)
class _Stack:
    state: str
    held: str
    users: frozenset[int]
    session: int | None

    def has(self, process: psutil.Process) -> bool:
        """Whether `process` is a member."""
        import psutil

        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.uids().real not in self.users:
                return False
            if process.environ().get(STATE_VARIABLE) == self.state:
                return True
            with os.scandir(f"/proc/{process.pid}/fd") as entries:
                holds = any(_target(entry).startswith(self.held) for entry in entries)
            return holds and (process.uids().real != 0 or os.getsid(process.pid) == self.session)
        except (
            psutil.NoSuchProcess,
            psutil.AccessDenied,
            FileNotFoundError,
            ProcessLookupError,
            PermissionError,
        ):
            return False


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return str(Path(entry.path).readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def is_supervisor(process: psutil.Process) -> bool:
    """Whether this member is the stack's supervisord."""
    import psutil

    try:
        return "supervisor.supervisord" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def end(processes: Iterable[psutil.Process], *, grace: float) -> None:
    """SIGTERM, then SIGKILL after `grace` seconds, to exactly these processes (never to a reused pid).

    Raises OpsError for one that survives even that.
    """
    left = list(processes)
    for process in left:
        _signal(process, kill=False)
    left = wait_ended(left, grace)
    for process in left:
        _signal(process, kill=True)
    left = wait_ended(left, 5)
    if left:
        pids = ", ".join(str(p.pid) for p in left)
        raise OpsError(
            msg("can't end processes {pids} of this stack", pids=pids), msg("end these processes as root")
        )


def wait_ended(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait up to `seconds` for all to end; returns those that have not."""
    deadline = time.monotonic() + seconds
    left = [p for p in processes if not _ended(p)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [p for p in left if not _ended(p)]
    return left


def _signal(process: psutil.Process, *, kill: bool) -> None:
    import psutil

    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise OpsError(
            msg("process {pid} of this stack belongs to another user", pid=process.pid),
            msg("run the command as that user"),
        ) from None


def _ended(process: psutil.Process) -> bool:
    import psutil

    # A zombie is gone for us: only its parent, which is no part of the stack, has not looked yet.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_all(state: Path, run: Path, *, grace: float, supervisor: int | None = None) -> int:
    """End the supervisor first, so that it restarts nothing, then every other member; returns how many.

    `supervisor` is its session, where its pid file may be gone by now.
    """
    supervisor = supervisor or session(run)
    members = find(state, run, supervisor)
    end([p for p in members if is_supervisor(p)], grace=grace)
    # Its children got SIGTERM from the kernel meanwhile (launch.py); a late one may just have started.
    rest = find(state, run, supervisor)
    end(rest, grace=grace)
    return len({p.pid for p in members} | {p.pid for p in rest})


def mismatches(desired: Desired, services: Sequence[str], supervisor: Supervisor) -> tuple[Mismatch, ...]:
    """How the processes of `services` differ from their programs, by the kernel.

    What belongs to another user, and so can't be looked at, is reported as not answered.
    """
    try:
        processes = supervisor.processes()
    except SupervisorGoneError as error:
        return tuple(Mismatch(name, error.message, restart=True) for name in services)
    programs = desired.programs
    kinds = {s.name: s.kind for s in desired.topology.services}
    compared = (_mismatch(programs[name], kinds[name], processes) for name in services if name in programs)
    return tuple(mismatch for mismatch in compared if mismatch is not None)


def _mismatch(program: Program, kind: str, processes: Mapping[str, Process]) -> Mismatch | None:
    name = program.service
    process = processes.get(name)
    if process is None or process.pid is None:
        return Mismatch(name, msg("the process is not running"), restart=True)
    try:
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        owner = Path(f"/proc/{process.pid}").stat().st_uid
        title = kind_of(kind).retitled
        executable = Path(f"/proc/{process.pid}/exe").readlink() if title is not None else None
    except FileNotFoundError:
        return Mismatch(name, msg("the process ended during the check"), restart=True)
    except PermissionError as error:
        return Mismatch(
            name, msg("the process can't be inspected: {strerror}", strerror=error.strerror), answered=False
        )
    what = _other_arguments(program, title or "", shown, executable) or _other_user(program, owner)
    return Mismatch(name, what, restart=True) if what else None


def _other_arguments(program: Program, before: str, shown: bytes, executable: Path | None) -> str:
    if executable is not None:
        wanted = Path(program.argv[0]).resolve()
        # After an upgrade of the package the kernel marks the old file, which still runs.
        runs = Path(str(executable).removesuffix(" (deleted)"))
        if runs != wanted:
            return msg("the process runs {runs} instead of {wanted}", runs=runs, wanted=wanted)
        title = shown.rstrip(b"\0").decode(errors="replace").strip()
        if not before or not title.startswith(before):
            return ""
        line = " ".join(program.argv)
        return (
            ""
            if title == before + line
            else msg("the process was started as `{title}`", title=title.removeprefix(before))
        )
    words = tuple(shown.decode(errors="surrogateescape").split("\0")[:-1])
    if words == program.argv or (_is_script(program.argv[0]) and _tail(words, program.argv)):
        return ""
    return _difference(program.argv, words)


def _is_script(path: str) -> bool:
    """Whether the kernel runs an interpreter in place of the file, whose own words then come first."""
    try:
        with Path(path).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _tail(words: tuple[str, ...], argv: tuple[str, ...]) -> bool:
    rest = argv[1:]
    return not rest or words[-len(rest) :] == rest


def _difference(wanted: tuple[str, ...], runs: tuple[str, ...]) -> str:
    lacks = [word for word in wanted if word not in runs]
    extra = [word for word in runs if word not in wanted]
    parts = [
        msg("without {lacks}", lacks=" ".join(lacks)) if lacks else "",
        msg("with {extra}", extra=" ".join(extra)) if extra else "",
    ]
    differences = [part for part in parts if part] or [msg("with its arguments in another order")]
    return msg("the process was started {said}", said=all_of(differences))


def _other_user(program: Program, owner: int) -> str:
    if program.user is None:
        return ""
    wanted = pwd.getpwnam(program.user).pw_uid
    return (
        ""
        if owner == wanted
        else msg("the process runs as uid {owner} instead of user {user}", owner=owner, user=program.user)
    )


def strangers(layout: Layout, supervisor: Supervisor) -> tuple[str, ...]:
    """Processes of the stack that its supervisor did not start."""
    import psutil

    try:
        known = {process.pid for process in supervisor.processes().values() if process.pid is not None}
        known.add(supervisor.pid())
    except SupervisorGoneError:
        known = set()
    outside = []
    for process in find(layout.state, layout.run):
        try:
            family = {process.pid, *(parent.pid for parent in process.parents())}
            if known.isdisjoint(family):
                command = " ".join(process.cmdline())[:120]
                outside.append(
                    msg(
                        "process {pid} of this stack runs outside its supervisor: {command}",
                        pid=process.pid,
                        command=command,
                    )
                )
        except psutil.NoSuchProcess:
            continue
    return tuple(outside)
