"""Talks to supervisord over its Unix socket.

supervisor's own transport does the same, but importing it costs 140 ms, which `techsapo ps` can't spare.
"""

from __future__ import annotations

import errno
import http.client
import os
import socket
import stat
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.folders import open_file
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.observed import State

PID_FILE = "supervisord.pid"
_STATES = {
    "STOPPED": State.STOPPED,
    "STARTING": State.STARTING,
    "RUNNING": State.RUNNING,
    "BACKOFF": State.BACKOFF,
    "STOPPING": State.STOPPED,
    "EXITED": State.CRASHED,
    "FATAL": State.CRASHED,
    "UNKNOWN": State.CRASHED,
}
NOT_RUNNING = 70
"""Fault code of supervisor's XML-RPC (supervisor/xmlrpc.py, class Faults)."""
ALREADY_STARTED = 60
ALREADY_ADDED = 90
BAD_NAME = 10
SHUTTING_DOWN = 6
KILL_SECONDS = 10.0
"""Seconds within which a process that was killed is gone."""


class SupervisorGoneError(OpsError):
    """Nobody answers on the supervisor's socket."""


@dataclass(frozen=True, slots=True)
class Process:
    """What supervisord knows of one program. `pid` is None while it does not run."""

    name: str
    state: State
    stopping: bool
    pid: int | None
    started: datetime | None
    exit_code: int | None
    error: str


def session(run: Path) -> int | None:
    """The session of the stack's supervisord: its pid, as it wrote it down itself; None where it did not.

    The kernel gives the number to no other process while one of that session lives.
    """
    try:
        with os.fdopen(open_file(run / PID_FILE, os.O_RDONLY), encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):  # none was started, or it ended well
        return None


def is_somebody_elses(socket_dir: Path) -> bool:
    """Whether the folder of a supervisor's socket is one below /tmp that another user made, or a link there.

    Its name can be foretold while the stack is down; see Layout.socket_dir. Raises FileNotFoundError.
    """
    if socket_dir.parent != Path("/tmp"):  # noqa: S108 - it is not used, but looked at
        return False
    facts = socket_dir.lstat()
    return facts.st_uid != os.geteuid() or not stat.S_ISDIR(facts.st_mode)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        if is_somebody_elses(self._path.parent):
            raise ConnectionRefusedError(
                errno.ECONNREFUSED, msg("{folder} belongs to another user", folder=self._path.parent)
            )
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - the base's name
        return _Connection(self._path, self._timeout)


class Supervisor:
    """Client of one supervisord. Every call is a connection of its own: supervisord may be new by then."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy(
            "http://localhost/RPC2", transport=_Transport(self._path, self._timeout)
        )
        try:
            with proxy:
                return getattr(proxy, method)(*arguments)
        except TimeoutError:
            raise SupervisorGoneError(
                msg("the supervisor does not answer within {timeout:g} s", timeout=self._timeout),
                msg("run `techsapo up` again"),
            ) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise SupervisorGoneError(
                msg("the supervisor does not answer: {error}", error=error),
                msg("`techsapo up` starts the supervisor again"),
            ) from None

    def answers(self) -> bool:
        """Whether a supervisord is there and takes commands."""
        try:
            state: Mapping[str, Any] = self._call("supervisor.getState")
        except SupervisorGoneError:
            return False
        return bool(state["statename"] == "RUNNING")

    def pid(self) -> int:
        """Process id of supervisord."""
        return int(self._call("supervisor.getPID"))

    def processes(self) -> dict[str, Process]:
        """All programs that supervisord has loaded, by name."""
        return {info["name"]: _process(info) for info in self._call("supervisor.getAllProcessInfo")}

    def process(self, name: str) -> Process | None:
        """One program, or None where supervisord has none of that name."""
        try:
            return _process(self._call("supervisor.getProcessInfo", name))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == BAD_NAME:
                return None
            raise

    def reread(self) -> frozenset[str]:
        """Read the configuration file again and return the names of programs that are new or changed.

        Programs that run stay as they are until they are removed and added. Raises OpsError for a
        configuration that supervisord refuses.
        """
        try:
            [[added, changed, _]] = self._call("supervisor.reloadConfig")
        except xmlrpc.client.Fault as fault:
            raise OpsError(
                msg("the supervisor refuses its configuration: {faultstring}", faultstring=fault.faultString)
            ) from None
        return frozenset((*added, *changed))

    def add(self, name: str) -> None:
        """Take program `name` over from the configuration that was last read."""
        self._call_unless((ALREADY_ADDED,), "supervisor.addProcessGroup", name)

    def start(self, name: str) -> None:
        """Start a program without waiting for it. Raises OpsError when it can't be executed at all."""
        try:
            self._call_unless((ALREADY_STARTED,), "supervisor.startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            raise OpsError(
                msg("{name} cannot be started: {faultstring}", name=name, faultstring=fault.faultString)
            ) from None

    def begin_stop(self, name: str) -> None:
        """Tell a program to stop, without waiting for it."""
        self._call_unless((NOT_RUNNING, BAD_NAME), "supervisor.stopProcess", name, False)

    def stop(self, name: str, *, within: float, term_after: float | None = None) -> None:
        """Stop a program and wait until it is gone; supervisord kills it after its stop time.

        Where `term_after` is given, it is sent TERM as well after so many seconds. One that is still there
        after `within` seconds, of a supervisord that lags, is killed from here. Raises OpsError for one that
        the kernel does not end within KILL_SECONDS either.
        """
        killed = False
        started = time.monotonic()
        if (process := self.process(name)) is not None and not process.stopping:
            self.begin_stop(name)
        pause = 0.01
        while (process := self.process(name)) is not None and process.pid is not None:
            waited = time.monotonic() - started
            if waited > within and not killed:
                self._call_unless((NOT_RUNNING, BAD_NAME), "supervisor.signalProcess", name, "KILL")
                killed = True
            if waited > within + KILL_SECONDS:
                raise OpsError(
                    msg("the kernel can't end {name} (pid {pid})", name=name, pid=process.pid),
                    msg("the process waits for a disk or a network file system; a reboot ends the process"),
                )
            if term_after is not None and waited >= term_after:
                self._call_unless((NOT_RUNNING, BAD_NAME), "supervisor.signalProcess", name, "TERM")
                term_after = None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def remove(self, name: str) -> None:
        """Forget a program that does not run."""
        self._call_unless((BAD_NAME,), "supervisor.removeProcessGroup", name)

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal such as HUP. Raises OpsError when the program does not run."""
        try:
            self._call("supervisor.signalProcess", name, signal_name)
        except xmlrpc.client.Fault as fault:
            raise OpsError(
                msg("cannot signal {name}: {faultstring}", name=name, faultstring=fault.faultString)
            ) from None

    def shutdown(self) -> bool:
        """Tell supervisord to stop everything and end; returns whether there was one to hear it."""
        try:
            self._call("supervisor.shutdown")
        except SupervisorGoneError:
            return False
        except xmlrpc.client.Fault as fault:
            return fault.faultCode == SHUTTING_DOWN
        return True

    def _call_unless(self, accepted: tuple[int, ...], method: str, *arguments: Any) -> None:
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in accepted:
                raise


def _process(info: Mapping[str, Any]) -> Process:
    running = info["statename"] in {"RUNNING", "STARTING", "STOPPING"} and info["pid"]
    # Of a process that ended while it started supervisord keeps no exit status, and says 0.
    ended = not running and info["stop"] > 0 and "too quickly" not in info["spawnerr"]
    return Process(
        name=info["name"],
        state=_STATES[info["statename"]],
        stopping=info["statename"] == "STOPPING",
        pid=int(info["pid"]) if running else None,
        started=datetime.fromtimestamp(info["start"], UTC) if running and info["start"] else None,
        exit_code=int(info["exitstatus"]) if ended else None,
        error=str(info["spawnerr"]),
    )
