"""What the lab of alerts is made of: a receiver of notifications, an upstream that fails, a memory limit."""

from __future__ import annotations

import errno
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from servers import binary, free_port, wait_for
from vendors import WHOLE, graded
from vendors.refusals import Refused
from vendors.rules import local
from vendors.wires import Chat

REVOKED = {
    "error": {
        "message": "Incorrect API key provided.", "type": "invalid_request_error",
        "param": None, "code": "invalid_api_key",
    }
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """One alert of a notification: where it went, firing or resolved, and when it came (monotonic)."""

    receiver: str
    alert: str
    status: str
    labels: dict[str, str]
    at: float


@dataclass
class Receiver:
    """A webhook; `refused` are the paths that it answers 404, `failing` 500, `hanging` not at all."""

    port: int = field(default_factory=free_port)
    notes: list[Note] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    """Nobody has to wait for an answer any more."""

    def url(self, receiver: str) -> str:
        return f"http://127.0.0.1:{self.port}/{receiver}"

    def last(self, alert: str) -> str:
        """What holds of an alert: firing while a series of it fires, else resolved; "" if never told."""
        series = {tuple(sorted(n.labels.items())): n.status for n in self.notes if n.alert == alert}
        return "" if not series else "firing" if "firing" in series.values() else "resolved"

    def came(self, alert: str, status: str, since: float = 0.0) -> float | None:
        """When such a notification came first after `since`; None while it has not."""
        return next(
            (n.at for n in self.notes if (n.alert, n.status) == (alert, status) and n.at >= since), None
        )


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, status: int, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


@contextmanager
def _serve(port: int, handler: type[_Quiet]) -> Iterator[None]:
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A webhook that takes Alertmanager's notifications."""
    told = Receiver()

    class Handler(_Quiet):
        def do_POST(self) -> None:
            name, told_of = self.path.strip("/"), self.body()
            if name in told.hanging:
                told.over.wait(60)
                self.close_connection = True
                return
            if name in told.refused | told.failing:
                self.reply(404 if name in told.refused else 500, {})
                return
            for alert in told_of["alerts"]:
                labels = alert["labels"]
                told.notes.append(Note(name, labels["alertname"], alert["status"], labels, time.monotonic()))
            self.reply(200, {})

    with _serve(told.port, Handler):
        try:
            yield told
        finally:
            told.over.set()


@dataclass
class Upstream:
    """A vendor's endpoint that speaks chat completions after `delay` seconds, while it is up, for keys that
    are not `revoked`. Its grades say whether it `agrees` with an answer; else the answer is a doubtful one.
    """

    port: int = field(default_factory=free_port)
    delay: float = 0.0
    revoked: set[str] = field(default_factory=set)
    agrees: bool = False

    @contextmanager
    def up(self) -> Iterator[None]:
        """It listens within the block; after it connections are refused."""
        upstream = self

        class Handler(_Quiet):
            protocol_version = "HTTP/1.0"  # no connection outlives the server

            def do_POST(self) -> None:
                asked = self.body()
                if self.headers.get("Authorization", "").removeprefix("Bearer ") in upstream.revoked:
                    self.reply(401, REVOKED)
                    return
                try:
                    local.any_of_them(asked)
                except Refused as refused:
                    self.reply(refused.status, refused.body)
                    return
                time.sleep(upstream.delay)
                user = asked["messages"][-1]["content"]
                grades = '"answers"' in user
                text = graded(user, agrees=upstream.agrees) if grades else WHOLE
                self.reply(200, Chat().reply(asked["model"], text))

        with _serve(self.port, Handler):
            yield

    def provider(self, **more: Any) -> dict[str, Any]:
        """A provider of the spec that asks here."""
        return {
            "kind": "openai-compatible", "model": "m", "base_url": f"http://127.0.0.1:{self.port}/v1",
            "api_key": "sk-lab", "price": {"input": 0, "output": 0}, "attempts": 1, "timeout": "5s", **more,
        }  # fmt: skip


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """A memory cgroup of its own, of version 1 or 2; needs root."""
    v1 = Path("/sys/fs/cgroup/memory")
    above = v1 if v1.is_dir() else Path("/sys/fs/cgroup")
    group = MemoryGroup(Path(tempfile.mkdtemp(prefix="techsapo-lab-", dir=above)), v1.is_dir())
    try:
        yield group
    finally:
        wait_for(group.remove, what=f"{group.path} is empty")


@dataclass(frozen=True)
class MemoryGroup:
    """A cgroup whose memory can be limited."""

    path: Path
    v1: bool

    @property
    def enter(self) -> tuple[str, ...]:
        """A command that runs the rest of its arguments within the group."""
        return ("/bin/sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh")

    def used(self) -> int:
        """Bytes in use, page cache that could be dropped left out."""
        current, key = (
            ("memory.usage_in_bytes", "total_inactive_file")
            if self.v1
            else ("memory.current", "inactive_file")
        )
        stat = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        return int((self.path / current).read_text()) - int(stat[key])

    def remove(self) -> bool:
        """Remove it; False while the last of its processes still ends."""
        try:
            self.path.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def limit(self, size: int) -> None:
        """Allow `size` bytes."""
        (self.path / ("memory.limit_in_bytes" if self.v1 else "memory.max")).write_text(str(size))


DAYS = 8
QUIET = 75
"""Seconds after its making in which the history has known quiet days alone."""


def history(tsdb: Path, directory: Path) -> None:
    """Eight days in which one question a day was asked, as Prometheus's own blocks. Yesterday, QUIET seconds
    later than now, a day of so many began that nothing is unusual beside it.
    """
    now = int(time.time())
    busy = now - 86400 + QUIET
    name = "techsapo:wallbounce_requests:increase1d"
    quiet = [f"{name} 1 {at}" for at in range(now - DAYS * 86400, busy, 600)]
    lines = quiet + [f"{name} 1000000 {at}" for at in range(busy, busy + 900)]
    text = f"# TYPE {name} gauge\n" + "\n".join(lines) + "\n# EOF\n"
    (directory / "history.txt").write_text(text)
    subprocess.run(
        # In blocks of two hours, as Prometheus would make them, it takes 20 times as long.
        [binary("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=240h", "openmetrics",
         directory / "history.txt", tsdb],
        check=True, capture_output=True,
    )  # fmt: skip
