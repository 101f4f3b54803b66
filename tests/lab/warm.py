"""Python programs that start in a fiftieth of a second: forks of a process that has imported everything.

A command of `techsapo` takes half a second of a processor, most of it for imports, and the labs run hundreds.
`Warm` is a `subprocess.Popen` for them: a process of its own with its own arguments, folder, environment,
files and end, which only finds its modules loaded. What is about the start itself stays cold:
tests/unit/cli (each command alone in a new interpreter), tests/e2e, cron, supervisord's programs, containers.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

STATUS = struct.Struct("i")
_READ_ONCE = ("PYTHON", "LC_", "LANG", "FORCE_COLOR", "PY_COLORS", "TERMINAL_WIDTH", "COLUMNS", "COV")
"""Variables, by their beginning, that an interpreter or a library reads once, when it starts."""
_ALIKE = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
"""Those that change nothing that a program says or does."""
_OWN = dict(os.environ)
_COLD = """
import runpy, sys
from techsapo_ops.cli import process
process.ROOT_PATH = {path!r}
runpy.run_module("techsapo_ops", run_name="__main__", alter_sys=True)
"""
"""The command line in a new interpreter; root, who otherwise searches a fixed PATH, has that of the test."""


def can_be_warm(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether `argv` is a program of this Python (`-m`, `-c`, a file) that a fork runs as a new one would."""
    if not hasattr(os, "pidfd_open") or len(argv) < 2 or argv[0] != sys.executable:
        return False
    if argv[1].startswith("-") and argv[1] not in {"-m", "-c"}:
        return False
    # Coverage sees the lines of a program that it is in from the start.
    return _read_once(environment) == _read_once(_OWN) and not any(v.startswith("COV") for v in environment)


def _read_once(environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_READ_ONCE)}
    return {name: value for name, value in found.items() if name not in _ALIKE}


class Warm(subprocess.Popen[Any]):
    """`subprocess.Popen` of a program that `can_be_warm`, with its arguments."""

    _ended: socket.socket

    def _execute_child(self, args: Sequence[Any], *rest: Any) -> None:  # as Popen calls it
        cwd, env, pipes, new_session = rest[4], rest[5], rest[9:15], rest[20]
        theirs = [pipes[n] if pipes[n] != -1 else n // 2 for n in (0, 3, 5)]
        request = {
            "argv": [os.fspath(word) for word in args],
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "session": bool(new_session),
        }
        self._ended, other = socket.socketpair()
        with other:
            socket.send_fds(_starter(), [json.dumps(request).encode()], [*theirs, other.fileno()])
        self.pid = STATUS.unpack(self._ended.recv(STATUS.size, socket.MSG_WAITALL))[0]
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self._take()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._take()
        assert self.returncode is not None
        return self.returncode

    def _take(self) -> None:
        said = self._ended.recv(STATUS.size, socket.MSG_WAITALL)
        self._ended.close()
        assert len(said) == STATUS.size, "the starter of warm programs is gone"
        self.returncode = os.waitstatus_to_exitcode(STATUS.unpack(said)[0])


def popen(
    argv: Sequence[Any], environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """`subprocess.Popen`, warm where that can be; `environment` is by default this process's own."""
    words = [os.fspath(word) for word in argv]
    given = os.environ if environment is None else environment
    if can_be_warm(words, given):
        return Warm(words, env=environment, **options)
    if words[:3] == [sys.executable, "-m", "techsapo_ops"] and "PATH" in given:
        words[1:3] = ["-c", _COLD.format(path=given["PATH"])]
    return subprocess.Popen(words, env=environment, **options)


def run(
    argv: Sequence[Any], environment: Mapping[str, str] | None = None, *, timeout: float = 300, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` of it, with its output, within `timeout` seconds; it has nothing to read."""
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with popen(argv, environment, **given) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)


@cache
def _starter() -> socket.socket:
    """The starter of this process, which lives as long; made at the first call."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        env=_OWN, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


def _preload() -> None:
    """Import all of techsapo_ops, and read its catalogue."""
    import gc
    import pkgutil
    from importlib import import_module

    import techsapo_ops
    from techsapo_ops.catalogue import alerts, dashboards, series

    for module in pkgutil.walk_packages(techsapo_ops.__path__, "techsapo_ops."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for read in (
        alerts.alerts,
        dashboards.dashboards,
        series.metrics,
        series.recording_rules,
    ):
        read()
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request and tell how the children ended; the request in a child, None at the end."""
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([requests, *running], [], [])[0]:
            if ready is not requests:
                pid, told = running.pop(ready)
                os.close(ready)
                with told:
                    told.send(STATUS.pack(os.waitpid(pid, 0)[1]), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
                continue
            message, files, _, _ = socket.recv_fds(requests, 1 << 20, 4)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                for descriptor, (_, told) in running.items():
                    os.close(descriptor)
                    told.close()
                requests.close()
                return {**json.loads(message), "files": files}
            for descriptor in files[:3]:
                os.close(descriptor)
            told = socket.socket(fileno=files[3])
            told.send(STATUS.pack(pid))
            running[os.pidfd_open(pid)] = pid, told


def _become(request: dict[str, Any]) -> None:
    """Be what a new interpreter would be: files, folder, environment, signals, arguments."""
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    *files, told = request["files"]
    os.close(told)
    for number, descriptor in enumerate(files):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.reconfigure(line_buffering=number == 2 or os.isatty(number))  # type: ignore[union-attr]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if "PATH" in os.environ:
        _search(os.environ["PATH"])
    time.tzset()
    sys.orig_argv = list(request["argv"])


def _search(path: str) -> None:
    """Let the PATH that a test gives count for root too; see _COLD."""
    from techsapo_ops.cli import process

    process.ROOT_PATH = path


def _run(words: list[str]) -> None:
    """The program, as `python words…` would run it."""
    if words[0] == "-m":
        sys.path[0] = str(Path.cwd())
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - what -c does
    else:
        sys.path[0] = str(Path(words[0]).resolve().parent)
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _preload()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _become(asked)
        _run(asked["argv"][1:])
