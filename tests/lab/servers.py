"""Real servers on free loopback ports, each stopped by its pid."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import cycle, islice
from pathlib import Path

import warm


@dataclass
class Server:
    """A running server; `password` is that of its root or default user, where it has one."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    directory: Path
    password: str | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def kill(self) -> None:
        """kill -9, as a fault."""
        self.process.kill()
        self.process.wait(10)

    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")


def binary(name: str) -> str:
    """Absolute path of an executable that the lab installs."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path is not None, f"{name} is not installed; `make lab` installs what labs need"
    return path


@cache
def _ports() -> Iterator[int]:
    """The ports of this process, in an order of its own: no other worker of the run has them, and none comes
    again before all others have. A port may wait long until what it is for listens on it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = list(range(20_000 + worker, 32_000, workers))
    secrets.SystemRandom().shuffle(ports)
    return cycle(ports)


def free_port() -> int:
    """A loopback port that nothing listens on now, and that is given to nobody else.

    Not one of the kernel's choice: those it also gives to every connection that somebody opens in between.
    """
    for port in islice(_ports(), 1000):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port of 20,000 to 32,000 is free")


def wait_for(check: Callable[[], bool], *, timeout: float = 180.0, what: str = "condition") -> None:
    """Poll `check` until it is true; AssertionError after `timeout` seconds.

    One that takes long is work itself, as a command is: two thirds of the time are for what it waits for.
    """
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        if check():
            return
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(min(max(0.05, 2 * (now - began)), 2))


def next_second() -> datetime:
    """Wait until the clock shows another second, and return that: what was done before has an earlier one."""
    began = int(time.time())
    wait_for(lambda: int(time.time()) > began, what="the next second")
    return datetime.fromtimestamp(int(time.time()), UTC)


def http_ok(url: str) -> bool:
    """Whether a GET answers 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return 200 <= response.status < 300
    except (OSError, urllib.error.HTTPError):
        return False


def tcp_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def running(
    argv: Sequence[str], directory: Path, port: int, ready: Callable[[], bool], *, password: str | None = None
) -> Iterator[Server]:
    """Run `argv` until the block ends; yields once `ready()` is true. Output goes to server.log."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "server.log").open("ab") as log:
        process = warm.popen(
            argv,
            cwd=directory,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    server = Server(process, "127.0.0.1", port, directory, password)
    try:

        def ready_or_dead() -> bool:
            assert process.poll() is None, (
                f"{argv[0]} ended with {process.returncode}:\n{server.log()[-2000:]}"
            )
            return ready()

        wait_for(ready_or_dead, what=f"{argv[0]} ready")
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


@contextmanager
def redis(directory: Path, *, port: int | None = None, password: str | None = None) -> Iterator[Server]:
    """redis-server; its data stays in `directory`, so a second call with the same port finds it again."""
    port = port or free_port()
    argv = [binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    if password:
        directory.mkdir(parents=True, exist_ok=True)
        conf = directory / "redis.conf"
        conf.write_text(f'requirepass "{password}"\n')
        argv[1:1] = [str(conf)]
    with running(argv, directory, port, lambda: tcp_open(port), password=password) as server:
        yield server


@cache
def empty_database() -> Path:
    """What mariadb-install-db makes, once for this process: it takes seconds, a copy takes tenths of one."""
    folder = Path(tempfile.mkdtemp(prefix="techsapo-lab-mariadb-"))
    atexit.register(shutil.rmtree, folder)
    argv = [
        binary("mariadb-install-db"), "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db",
        "--auth-root-authentication-method=normal", *(["--user=root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    # MariaDB removes all temporary tables in its tmpdir when it starts, those of other servers too.
    made = subprocess.run(argv, check=False, capture_output=True, env={**os.environ, "TMPDIR": str(folder)})
    assert made.returncode == 0, (made.stdout + made.stderr).decode(errors="replace")
    return folder / "data"


@contextmanager
def mariadb(
    directory: Path, *options: str, port: int | None = None, password: str = "lab-root"
) -> Iterator[Server]:
    """A private MariaDB that listens on TCP with user root and `password`."""
    port = port or free_port()
    data = directory / "data"
    if not data.exists():
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(empty_database(), data)
    init = directory / "init.sql"
    init.write_text(
        f"CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        f"ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    argv = [
        binary("mariadbd"), "--no-defaults", f"--datadir={data}", f"--port={port}",
        "--bind-address=127.0.0.1", "--skip-name-resolve",
        f"--socket={directory}/m.sock", f"--init-file={init}",
        f"--tmpdir={directory}", "--innodb-buffer-pool-size=64M", *options,
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    with running(argv, directory, port, lambda: tcp_open(port), password=password) as server:
        yield server


@contextmanager
def prometheus(
    config: str, directory: Path, *, port: int | None = None, flags: Sequence[str] = ()
) -> Iterator[Server]:
    """Prometheus on the text of a prometheus.yml."""
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prometheus.yml").write_text(config, encoding="utf-8")
    argv = [
        binary("prometheus"), f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        "--enable-feature=exemplar-storage", *flags,
    ]  # fmt: skip
    with running(argv, directory, port, lambda: http_ok(f"http://127.0.0.1:{port}/-/ready")) as server:
        yield server


@contextmanager
def alertmanager(config: str, directory: Path, *, port: int | None = None) -> Iterator[Server]:
    """Alertmanager on the text of an alertmanager.yml, without clustering."""
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "alertmanager.yml").write_text(config, encoding="utf-8")
    argv = [
        binary("prometheus-alertmanager"), f"--config.file={directory}/alertmanager.yml",
        f"--storage.path={directory}/am", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--enable-feature=receiver-name-in-metrics", "--log.level=warn",
    ]  # fmt: skip
    with running(argv, directory, port, lambda: http_ok(f"http://127.0.0.1:{port}/-/ready")) as server:
        yield server


@contextmanager
def nginx(conf: str, directory: Path, *, port: int) -> Iterator[Server]:
    """nginx in the foreground on the text of a whole nginx.conf that listens on `port`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "nginx.conf").write_text(conf, encoding="utf-8")
    argv = [binary("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf"), "-g", "daemon off;"]
    with running(argv, directory, port, lambda: tcp_open(port)) as server:
        yield server
