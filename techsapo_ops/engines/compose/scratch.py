"""Throwaway containers without a network: a backup is restored into one to see what it holds."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.base import GateError, Scratch
from techsapo_ops.engines.compose import access
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.topology import Address, Service, Topology

FOLDER = "/scratch"
"""Where the throwaway container has the folder that it shares with the host."""
_START_SECONDS = 90.0
_SHOWN_LINES = 20
_LABEL = "techsapo.scratch"


@dataclass(frozen=True, slots=True)
class _Server:
    argv: tuple[str, ...]
    user: str
    password: Secret
    ready: Command
    environment: tuple[str, ...] = ()


@contextmanager
def scratch(service: Service, image: str, topology: Topology, docker: Docker) -> Iterator[Scratch]:
    """A throwaway redis or mysql with a random password, gone after the block.

    It has no network at all: commands reach it by `Scratch.run`, inside its container, where `directory` of
    the host is `/scratch`. Containers of killed runs are removed first. Raises OpsError for other kinds,
    GateError when it does not come up.
    """
    if service.kind not in _BUILDERS:
        raise OpsError(f"there is no throwaway {service.kind}", "only redis and mysql have one")
    parent = topology.layout.state / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(docker, parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.{service.kind}-", dir=parent))
    # The container's user must get in, but the folder is listed to nobody else's eyes.
    folder.chmod(0o711)
    server = _BUILDERS[service.kind](service, folder)
    name = f"techsapo-scratch-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        docker.call(
            "run", "--detach", "--name", name, "--label", f"{_LABEL}={parent}", "--network", "none",
            "--pull", "never", "--user", str(service.facts.uid), "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges:true",
            "--mount", f"type=bind,source={_quoted(folder)},target={FOLDER}",
            *(word for variable in server.environment for word in ("--env", variable)),
            image, *server.argv,
        )  # fmt: skip
        _wait(service.kind, name, docker, server)
        yield Scratch(
            Address("127.0.0.1", service.facts.port),
            folder,
            server.user,
            server.password,
            lambda command: docker.execute(name, command, timeout=3600.0),
        )
    finally:
        docker.attempt("rm", "--force", "--volumes", name)
        shutil.rmtree(folder)


def _quoted(path: Path) -> str:
    """One field of `--mount`, which is read as a line of CSV."""
    text = str(path)
    return '"' + f"{text}".replace('"', '""') + '"' if any(c in text for c in ',"') else text


def _sweep(docker: Docker, parent: Path) -> None:
    listed = docker.call("ps", "-a", "--filter", f"label={_LABEL}={parent}", "--format", "{{.Names}}")
    for name in listed.split():
        if not Path(f"/proc/{name.split('-')[2]}").exists():  # its maker was killed
            docker.attempt("rm", "--force", "--volumes", name)
    for stale in parent.glob("*.*"):
        if not Path(f"/proc/{stale.name.partition('.')[0]}").exists():
            shutil.rmtree(stale)


def _redis(service: Service, folder: Path) -> _Server:
    password = Secret(secrets.token_hex(24))
    configuration = folder / "redis.conf"
    text = f'bind 127.0.0.1\nsave ""\nappendonly no\ndir /tmp\nrequirepass {password.reveal()}\n'
    write_atomic(configuration, text.encode(), 0o600)
    access.let_read(configuration, [service.facts.uid])
    ping = Command(("redis-cli", "--no-auth-warning", "ping"), {"REDISCLI_AUTH": password.reveal()})
    return _Server(("redis-server", f"{FOLDER}/redis.conf"), "default", password, ping)


def _mysql(service: Service, folder: Path) -> _Server:
    password = Secret(secrets.token_hex(24))
    secret = folder / "root-password"
    write_atomic(secret, password.reveal().encode(), 0o600)
    access.let_read(secret, [service.facts.uid])
    # What a crash would cost is nothing here, and a restore is twice as fast without.
    argv = (
        "mariadbd", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
        "--skip-name-resolve", "--bind-address=127.0.0.1", "--socket=/tmp/mysqld.sock",
    )  # fmt: skip
    login = {"MYSQL_PWD": password.reveal()}
    ready = Command(
        ("mariadb", "--no-defaults", "--host=127.0.0.1", "--user=root", "--execute=SELECT 1"), login
    )
    environment = (f"MARIADB_ROOT_PASSWORD_FILE={FOLDER}/root-password", "MARIADB_ROOT_HOST=%")
    return _Server(argv, "root", password, ready, environment)


_BUILDERS: dict[str, Callable[[Service, Path], _Server]] = {"redis": _redis, "mysql": _mysql}


def _wait(kind: str, name: str, docker: Docker, server: _Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        done = docker.execute(name, server.ready, timeout=30.0)
        if done.code == 0:
            return
        running = docker.attempt("inspect", "--format", "{{.State.Running}}", name).stdout.strip() == b"true"
        if not running or time.monotonic() > deadline:
            said = docker.attempt("logs", "--tail", str(_SHOWN_LINES), name).output
            lines = tuple(said.splitlines()[-_SHOWN_LINES:])
            quoted = "".join(f"\n  | {line}" for line in lines)
            why = f"not ready: {done.output}" if running else "its container ended"
            raise GateError(kind, done.output, lines, f"throwaway {kind}: {why}{quoted}", "")
        time.sleep(0.1)
