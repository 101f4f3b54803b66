"""What the processes of a stack really are, read from the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from techsapo_ops.engines.native import members
from techsapo_ops.engines.native.supervisor import Process, Supervisor, SupervisorGoneError
from techsapo_ops.messages import all_of, msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.desired import Desired, Program
from techsapo_ops.stack.engine import Mismatch
from techsapo_ops.stack.layout import Layout


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
    found = (_mismatch(programs[name], kinds[name], processes) for name in services if name in programs)
    return tuple(mismatch for mismatch in found if mismatch is not None)


def _mismatch(program: Program, kind: str, processes: Mapping[str, Process]) -> Mismatch | None:
    name = program.service
    process = processes.get(name)
    if process is None or process.pid is None:
        return Mismatch(name, msg("its process does not run"), restart=True)
    try:
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        owner = Path(f"/proc/{process.pid}").stat().st_uid
        title = kind_of(kind).retitled
        executable = Path(f"/proc/{process.pid}/exe").readlink() if title is not None else None
    except FileNotFoundError:
        return Mismatch(name, msg("its process ended while it was looked at"), restart=True)
    except PermissionError as error:
        return Mismatch(
            name, msg("its process can't be looked at: {strerror}", strerror=error.strerror), answered=False
        )
    what = _arguments(program, title or "", shown, executable) or _user(program, owner)
    return Mismatch(name, what, restart=True) if what else None


def _arguments(program: Program, before: str, shown: bytes, executable: Path | None) -> str:
    if executable is not None:
        wanted = Path(program.argv[0]).resolve()
        # After an upgrade of the package the kernel marks the old file, which still runs.
        runs = Path(str(executable).removesuffix(" (deleted)"))
        if runs != wanted:
            return msg("it runs {runs} instead of {wanted}", runs=runs, wanted=wanted)
        title = shown.rstrip(b"\0").decode(errors="replace").strip()
        if not before or not title.startswith(before):
            return ""
        line = " ".join(program.argv)
        return (
            ""
            if title == before + line
            else msg("it was started as `{title}`", title=title.removeprefix(before))
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
    told = [part for part in parts if part] or [msg("with its arguments in another order")]
    return msg("its process was started {said}", said=all_of(told))


def _user(program: Program, owner: int) -> str:
    if program.user is None:
        return ""
    import pwd

    wanted = pwd.getpwnam(program.user).pw_uid
    return (
        ""
        if owner == wanted
        else msg("its process runs as uid {owner} instead of {user}", owner=owner, user=program.user)
    )


def strangers(layout: Layout, supervisor: Supervisor) -> tuple[str, ...]:
    """Processes of the stack that its supervisor did not start."""
    import psutil

    try:
        known = {process.pid for process in supervisor.processes().values() if process.pid is not None}
        known.add(supervisor.pid())
    except SupervisorGoneError:
        known = set()
    found = []
    for process in members.find(layout.state, layout.run):
        try:
            family = {process.pid, *(parent.pid for parent in process.parents())}
            if known.isdisjoint(family):
                command = " ".join(process.cmdline())[:120]
                found.append(
                    msg(
                        "process {pid} of this stack runs outside its supervisor: {command}",
                        pid=process.pid,
                        command=command,
                    )
                )
        except psutil.NoSuchProcess:
            continue
    return tuple(found)
