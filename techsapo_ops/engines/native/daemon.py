"""Starts the stack's supervisord and brings it down again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.folders import open_file
from techsapo_ops.engines.native import processes
from techsapo_ops.engines.native.launch import STATE_VARIABLE
from techsapo_ops.engines.native.supervisor import PID_FILE, Supervisor, is_somebody_elses
from techsapo_ops.engines.native.supervisor import session as supervisor_session
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

START_SECONDS = 20.0
STOP_SECONDS = 20.0
_PASSED_ON = frozenset(
    {
        "HOME", "LOGNAME", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE",
        "TMPDIR", "TZ", "USER", "all_proxy", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    }
)  # fmt: skip
_MESSAGES = "LC_MESSAGES"
_PASSED_ON_PREFIXES = ("COVERAGE_",)


def service_environment(environment: Mapping[str, str], state: Path) -> dict[str, str]:
    """What services get of the tool's environment: where things are, the language, proxies.

    API keys and whatever else stands in the shell stay out: services read their secrets from files.
    """
    plain = without_locale(environment)
    passed_on = {
        k: v
        for k, v in plain.items()
        if k in _PASSED_ON or k == _MESSAGES or k.startswith(_PASSED_ON_PREFIXES)
    }
    if os.geteuid() == 0 and (sudo := environment.get("SUDO_UID")):
        # What root starts for who became root by sudo trusts that user as well: adapters/trusted_users.py.
        passed_on["SUDO_UID"] = sudo
    return {"PATH": os.defpath, **passed_on, STATE_VARIABLE: str(state), "PYTHONUTF8": "1"}


def without_locale(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with no more of a locale than the language of messages.

    sshd hands on the locale of the machine that somebody sits at, and Redis does not start with one that is
    not installed on this host. It would also sort by it.
    """
    plain = {
        k: v for k, v in environment.items() if k not in ("LANG", "LANGUAGE") and not k.startswith("LC_")
    }
    locale = next((v for name in ("LC_ALL", _MESSAGES, "LANG") if (v := environment.get(name))), "")
    return {**plain, _MESSAGES: locale} if locale else plain


def start(layout: Layout, configuration: Path, environment: Mapping[str, str]) -> None:
    """Start supervisord with `configuration`, after ending what an earlier one left; returns once it answers.

    It gets a session of its own, so that a Ctrl-C of the tool does not reach it, and the state directory
    as working directory, since the configuration's paths are relative to it. Raises OpsError with
    supervisord's words when it does not start.
    """
    processes.end_all(layout.state, layout.run, grace=STOP_SECONDS)
    layout.supervisor_socket.unlink(missing_ok=True)
    said = layout.logs / "supervisord.err"
    argv = (sys.executable, "-X", "utf8", "-m", "supervisor.supervisord", "-n", "-c", str(configuration))
    with os.fdopen(open_file(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stderr:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=layout.state,
            env=service_environment(environment, layout.state),
            start_new_session=True,
        )
    supervisor = Supervisor(layout.supervisor_socket, timeout=2)
    deadline = time.monotonic() + START_SECONDS
    while not supervisor.answers():
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            ended = (
                msg("ended with code {code}", code=code)
                if code is not None
                else msg("does not answer after {start_seconds:g} s", start_seconds=START_SECONDS)
            )
            words = said.read_text(encoding="utf-8", errors="replace").strip()
            raise OpsError(
                msg("the supervisor {ended}: {words}", ended=ended, words=words or msg("no output")),
                msg("see the logs in {logs}", logs=layout.logs),
            )
        time.sleep(0.02)


def shut_down(layout: Layout) -> int:
    """End supervisord and every process that is left of the stack; returns how many were left behind.

    Also for a supervisord that is dead, does not answer, or has only just been started.
    """
    supervisor = Supervisor(layout.supervisor_socket, timeout=5)
    session = supervisor_session(layout.run)  # it removes its pid file when it ends
    if supervisor.shutdown():
        running = processes.find(layout.state, layout.run, session)
        masters = [p for p in running if processes.is_supervisor(p)]
        processes.wait_ended(masters, STOP_SECONDS)
    leftovers = processes.end_all(layout.state, layout.run, grace=STOP_SECONDS, supervisor=session)
    (layout.run / PID_FILE).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        if not is_somebody_elses(layout.socket_dir):
            layout.supervisor_socket.unlink(missing_ok=True)
            if layout.socket_dir != layout.run:
                layout.socket_dir.rmdir()
    return leftovers
