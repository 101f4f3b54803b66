"""The one door through which other programs are run."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from techsapo_ops.adapters.strict_modes import StrictModes
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_TERM_SECONDS = 5.0
_WATCH_SECONDS = 5.0
RESULT_VARIABLE = "TECHSAPO_RESULT_FD"
"""Names the descriptor on which a supervised program hands back its result, beside what it prints."""
Stream = int | IO[bytes] | None
Watch = Callable[[], None]
"""Says by OpsError that a program need not go on."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program call as a value: build it, show it, then run it.

    `env` is added to the tool's own environment. Secrets belong in `env` or `stdin`, never in `argv`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    cwd: Path | None = None
    launched: str = field(default="", compare=False)
    """The program that `argv` starts in a container or by a launcher, where it does."""
    terminal: bool = field(default=False, compare=False)
    """Whether it is to have the caller's terminal."""

    @property
    def program(self) -> str:
        """What is run: the program, not the launcher or Docker in front of it."""
        return self.launched or self.argv[0]

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended: exit code and what it printed."""

    command: Command
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def output(self) -> str:
        """Both streams as text, for a message to the user."""
        return (self.stdout + self.stderr).decode(errors="replace").strip()


def split_command(text: str, where: str) -> tuple[str, ...]:
    """The words of a command as a shell reads them. Raises OpsError naming `where` for an open quote."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise OpsError(
            msg(
                "{where}: {text} is not a command: {error}",
                where=where,
                text=repr(text),
                error=str(error).lower(),
            )
        ) from None
    if not words:
        raise OpsError(msg("{where}: {text} is not a command", where=where, text=repr(text)))
    return words


class Runner(Protocol):
    """Runs commands to their end."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """Run `command` and return how it ended; `timeout` is in seconds.

        Raises OpsError when the program does not exist or does not end in time.
        """
        ...


class TimedOut(OpsError):
    """A program that had to be stopped. `said` is what it had written to its standard error by then."""

    def __init__(self, command: Command, seconds: float, said: str = "") -> None:
        super().__init__(
            msg(
                "`{command}` did not end within {seconds:g} s and was stopped",
                command=command,
                seconds=seconds,
            )
        )
        self.said = said


class SubprocessRunner:
    """The real Runner. `watch` is asked while a program runs, and ends it by raising OpsError."""

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """Run `command` to its end; on a time-out or Ctrl-C end its whole process group, gently at first.

        Raises OpsError when the program does not exist or does not end in time.
        """
        given = subprocess.PIPE if command.stdin is not None else subprocess.DEVNULL
        process = start(command, (given, subprocess.PIPE, subprocess.PIPE))
        try:
            stdout, stderr = communicate(process, command.stdin, timeout, self._watch)
        except BaseException as error:
            end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimedOut(command, timeout, (error.stderr or b"").decode(errors="replace")) from None
            raise
        return Completed(command, process.returncode, stdout, stderr)


def watching(runner: Runner, watch: Watch) -> Runner:
    """`runner` with `watch` beside what it runs, where it runs programs."""
    return SubprocessRunner(watch) if type(runner) is SubprocessRunner else runner


def communicate(
    process: subprocess.Popen[bytes], stdin: bytes | None, timeout: float, watch: Watch | None
) -> tuple[bytes, bytes]:
    """What `process` writes until it ends. Raises TimeoutExpired, and what `watch` raises meanwhile."""
    until = time.monotonic() + timeout
    while True:
        left = until - time.monotonic()
        try:
            return process.communicate(stdin, timeout=left if watch is None else min(left, _WATCH_SECONDS))
        except subprocess.TimeoutExpired:
            if watch is None or time.monotonic() >= until:
                raise
        watch()
        stdin = None  # it goes on with what it was given


def which(name: str, path: str | None = None) -> str | None:
    """The absolute path of the program `name` on PATH, or on `path`; None where there is none.

    Raises UntrustedError where others could change it.
    """
    executable = shutil.which(name, path=path)
    if executable is None:
        return None
    # PATH may name a folder relative to this one, and what is run may start in another.
    program = Path(executable).absolute()
    require_programs([program])
    return str(program)


def require_programs(programs: Iterable[Path]) -> None:
    """Raise UntrustedError where others could change one of `programs`."""
    modes = StrictModes(trusted_users())
    for program in programs:
        modes.judge(program)
    modes.require("" if os.geteuid() == 0 else msg("remove the program's folder from PATH"))


def program_of(command: Command) -> str | None:
    """The file that `command` runs, as Popen's `executable`; None where there is none, which Popen says.

    Raises UntrustedError where others could change it, or the plugins that `docker` runs.
    """
    word = command.argv[0]
    if Path(word).name == "docker":
        _require_plugins({**os.environ, **command.env})
    if "/" not in word:
        return which(word)
    require_programs([(command.cwd or Path()) / word])
    return None


def _require_plugins(environment: Mapping[str, str]) -> None:
    """Raise UntrustedError where others could change what `docker compose` runs.

    Its plugins are searched in its folder below HOME at first, which may be another user's, as PATH may.
    """
    config = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker"
    modes = StrictModes(trusted_users())
    for path in (Path(config) / "config.json", Path(config) / "cli-plugins"):
        if path.exists():
            modes.tree(path)
    modes.require(msg("set HOME and DOCKER_CONFIG to your own folders"))


def start(
    command: Command,
    streams: tuple[Stream, Stream, Stream],
    *,
    environment: Mapping[str, str] = os.environ,
    session: bool = True,
    bufsize: int = -1,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` with `environment` and its own `env`, by default in a new session.

    `streams` are its input, output and errors as `Popen` takes them, `pass_fds` further descriptors that it
    has. Raises OpsError when it can't be started, UntrustedError where others could change it.
    """
    try:
        return subprocess.Popen(
            command.argv,
            executable=program_of(command),
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env={**environment, **command.env},
            cwd=command.cwd,
            start_new_session=session,
            bufsize=bufsize,
            pass_fds=pass_fds,
        )
    except FileNotFoundError:
        raise OpsError(
            msg("cannot run {argv}: no such program", argv=command.argv[0]),
            msg("`techsapo doctor` shows what is missing"),
        ) from None
    except OSError as error:
        raise OpsError(
            msg("cannot run {argv}: {strerror}", argv=command.argv[0], strerror=error.strerror)
        ) from None


def attached(
    command: Command,
    environment: Mapping[str, str],
    *,
    streams: tuple[int | None, int | None] = (None, None),
    handed_over: Sequence[int] = (),
) -> int:
    """Run `command` with this process's own input, output and terminal; returns its exit code.

    Of `environment` and its own `env` alone. Ctrl-C is for the program. One that a signal ended has 128 and
    the signal's number, as a shell says it. `streams` are descriptors in place of input and output where
    they are given, `handed_over` those that it has besides. Raises OpsError when it can't be started.
    """
    process = start(
        command, (*streams, None), environment=environment, session=False, pass_fds=handed_over,
    )  # fmt: skip
    # Not before: an ignored signal stays ignored over exec.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        code = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def stream(command: Command) -> Iterator[str]:
    """Start `command` now and return its lines of standard output as they come, until it ends.

    It is stopped when the iterator is closed. Raises OpsError when the program can't be started.
    """
    process = start(command, (subprocess.DEVNULL, subprocess.PIPE, subprocess.DEVNULL))
    lines = _lines(process)
    next(lines)  # begun, so that it ends the process also when nobody reads a line
    return lines


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    try:
        yield ""
        for line in process.stdout or ():
            yield line.decode(errors="replace").rstrip("\n")
    finally:
        if process.poll() is None:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: SIGTERM, so that dpkg and the like can leave things whole, then SIGKILL."""
    _signal(process, signal.SIGTERM)
    try:
        process.communicate(timeout=_TERM_SECONDS)
    except BaseException as error:
        _signal(process, signal.SIGKILL)
        # What moved to a session of its own may hold the other ends of its pipes for as long as it likes.
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was left to write
                    pipe.close()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send it to the whole group; one that has ended by itself, and was waited for, is nobody's."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
