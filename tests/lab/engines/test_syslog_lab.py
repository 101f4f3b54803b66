"""The generated configuration in a real rsyslogd, to a server that is there, and one that is away."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rows import each_row
from servers import binary, free_port, wait_for
from stacks import HOSTILE_FOLDER, spec, topology

from techsapo_ops.render import host as host_files
from techsapo_ops.render.host import rsyslog_files
from techsapo_ops.render.templates import Templates

pytestmark = pytest.mark.lab

FRAME = re.compile(
    r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d (\S+) (\S{1,48}) - - - (.*)", re.DOTALL
)
"""RFC 5424, section 6, as these lines have it: no process, no id, no structured data."""


class SyslogServer:
    """Takes lines on a port of loopback, by tcp or udp, and refuses what is no frame of RFC 5424."""

    def __init__(self, port: int, protocol: str) -> None:
        self.lines: list[tuple[int, str, str]] = []
        self.wrong: list[str] = []
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._connections: list[socket.socket] = []
        if protocol == "tcp":
            self._socket.listen()
        self._thread = threading.Thread(target=self._accept if protocol == "tcp" else self._receive)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as file:
            for line in file:
                self._take(line.removesuffix(b"\n"))

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self._take(data.removesuffix(b"\n"))

    def _take(self, raw: bytes) -> None:
        match = FRAME.fullmatch(raw.decode("utf-8", errors="strict"))
        if match is None:
            self.wrong.append(raw.decode(errors="replace"))
        else:
            self.lines.append((int(match[1]), match[3], match[4]))

    def messages(self) -> list[str]:
        """What was said, each once: what is sent again after a break may come twice."""
        return list(dict.fromkeys(text for _, _, text in self.lines))

    def close(self) -> None:
        """End it, and every connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


@contextlib.contextmanager
def listening(port: int, protocol: str = "tcp") -> Iterator[SyslogServer]:
    server = SyslogServer(port, protocol)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def forwarding(work: Path, config: str) -> Iterator[None]:
    """A real rsyslogd that includes `config`, as the host's would, with nothing else of the host."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "spool").mkdir(exist_ok=True)
    (work / "techsapo.conf").write_text(config)
    (work / "host.conf").write_text(
        f'global(workDirectory="{work}/spool")\ninclude(file="{work}/techsapo.conf")\n'
    )
    with (work / "rsyslogd.log").open("ab") as log:
        process = subprocess.Popen(
            [binary("rsyslogd"), "-n", "-f", str(work / "host.conf"), "-i", "NONE"], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)


def rendered(directory: Path, port: int, scheme: str = "") -> tuple[str, Path]:
    """The configuration of a stack below `directory`, and the folder of its logs."""
    wanted = spec(logs={"syslog": f"{scheme}127.0.0.1:{port}"})
    where = topology(wanted, directory)
    (file,) = rsyslog_files(where, Templates())
    where.layout.logs.mkdir(parents=True)
    return file.content, where.layout.logs


def append(log: Path, *lines: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def wait_for_lines(server: SyslogServer, wanted: Callable[[Sequence[str]], bool]) -> None:
    wait_for(lambda: wanted(server.messages()), what="the lines")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_files, "RETRY", 1)


@each_row("scheme", ["", "udp://"])
def test_lines_of_every_service_arrive_whole_with_their_level(tmp_path: Path, scheme: str) -> None:
    port = free_port()
    config, logs = rendered(tmp_path / HOSTILE_FOLDER, port, scheme)
    long = json.dumps({"level": "warn", "message": "あ" * 15_000}, ensure_ascii=False, separators=(",", ":"))
    append(logs / "app.log", '{"level":"error","message":"ディスクが一杯です"}', long, '{"level":"info"}')
    append(logs / "redis.log", "12:M 31 Jan 2026 12:00:00.000 * Ready")
    append(
        logs / "prometheus.log", "ts=2026-01-31 level=debug msg=x", "Traceback:", '  File "x"', "  y", "end"
    )
    with listening(port, "udp" if scheme else "tcp") as server, forwarding(tmp_path / "work", config):
        wait_for_lines(server, lambda found: len(found) >= 7)
    assert server.wrong == []
    told = {text: (priority, name) for priority, name, text in server.lines}
    assert told['{"level":"error","message":"ディスクが一杯です"}'] == (131, "techsapo/app")
    assert told[long] == (132, "techsapo/app")
    assert told['{"level":"info"}'] == (134, "techsapo/app")
    assert told["12:M 31 Jan 2026 12:00:00.000 * Ready"] == (134, "techsapo/redis")
    assert told["ts=2026-01-31 level=debug msg=x"] == (135, "techsapo/prometheus")
    assert told['Traceback:\\n  File "x"\\n  y'] == (134, "techsapo/prometheus")


def test_lines_wait_while_the_server_is_away_and_over_a_rotation_and_a_restart(tmp_path: Path) -> None:
    port = free_port()
    config, logs = rendered(tmp_path, port)
    log = logs / "app.log"
    append(log, *(f"before {n}" for n in range(50)))
    with forwarding(tmp_path / "work", config):
        with listening(port) as server:
            wait_for_lines(server, lambda found: len(found) >= 50)
        append(log, *(f"away {n}" for n in range(500)))
        log.rename(logs / "app.log.1")
        append(log, *(f"rotated {n}" for n in range(50)))
        with listening(port) as server:
            wait_for_lines(server, lambda found: "rotated 49" in found and len(found) >= 549)
            found = server.messages()
        assert server.wrong == []
        assert {f"rotated {n}" for n in range(50)} <= set(found)
        missing = [n for n in range(500) if f"away {n}" not in found]
        assert len(missing) <= 1, "tcp takes one line before it tells that nobody is there"
        append(log, *(f"late {n}" for n in range(50)))
    with listening(port) as server, forwarding(tmp_path / "work", config):
        # rsyslog loses the one line that it was about to send.
        wait_for_lines(server, lambda found: len({f"late {n}" for n in range(50)} - set(found)) <= 1)


def test_what_waits_takes_no_more_disk_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_files, "QUEUE", 2 * 1024**2)
    config, logs = rendered(tmp_path, free_port())
    append(logs / "app.log", *(f"{n} " + "x" * 900 for n in range(10_000)))
    spool = tmp_path / "work/spool"

    def waiting() -> int:
        return sum(
            file.stat().st_size for file in spool.iterdir() if file.name.startswith("techsapo_techsapo.")
        )

    with forwarding(tmp_path / "work", config):
        wait_for(lambda: waiting() > 1_000_000, what="a queue on disk")
        state = spool / "imfile-state"
        wait_for(lambda: any(f.name.startswith(state.name) for f in spool.iterdir()), what="its place")
    assert waiting() < 4_000_000


def test_of_containers_the_stacks_own_lines_are_taken_out_of_dockers_files(tmp_path: Path) -> None:
    port = free_port()
    wanted = spec(logs={"syslog": f"127.0.0.1:{port}"}, project="demo")
    where = topology(wanted, tmp_path, "compose")
    (file,) = rsyslog_files(where, Templates(), below="docker/")
    containers = tmp_path / "containers"

    def docker(container: str, tag: str, *lines: str) -> None:
        """As Docker 28's json-file driver writes them with the option `tag`."""
        folder = containers / container
        folder.mkdir(parents=True)
        entries = (
            {"log": f"{line}\n", "stream": "stdout", "attrs": {"tag": tag}, "time": "2026-01-31T12:00:00.1Z"}
            for line in lines
        )
        append(folder / f"{container}-json.log", *(json.dumps(e, separators=(",", ":")) for e in entries))

    docker("a" * 64, "demo/app-1", '{"level":"error","message":"障害 \\"x\\""}', "plain")
    docker("b" * 64, "other/app-1", "not ours")
    docker("c" * 64, "demo/redis", "12:M * Ready")
    config = file.content.replace("/var/lib/docker/containers", str(containers))
    assert config != file.content
    with listening(port) as server, forwarding(tmp_path / "work", config):
        wait_for_lines(server, lambda found: len(found) >= 3)
    assert server.wrong == []
    assert {(name, text) for _, name, text in server.lines} == {
        ("demo/app-1", '{"level":"error","message":"障害 \\"x\\""}'),
        ("demo/app-1", "plain"),
        ("demo/redis", "12:M * Ready"),
    }
    assert {priority for priority, _, text in server.lines if "障害" in text} == {131}
