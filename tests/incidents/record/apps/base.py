"""What the services of the recorded shop share: settings, a log, metrics, HTTP both ways, and a database.

They run by Debian's Python, with no package but redis and pymysql, which the recorder lays next to them.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import resource
import signal
import socket
import ssl
import sys
import threading
import time
import tomllib
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pymysql

BUCKETS = (0.5, 2.5)
Labels = tuple[tuple[str, str], ...]
_STARTED = time.time()


class Fault(Exception):
    """An answer that is not a success: its status and what the log says."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Settings:
    """The service's TOML file. SIGHUP reads it anew; one that is wrong leaves the earlier one in force."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._values = tomllib.loads(file.read_text())
        signal.signal(signal.SIGHUP, lambda *_: self._reload())

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def get(self, name: str, default: Any) -> Any:
        return self._values.get(name, default)

    def _reload(self) -> None:
        try:
            self._values = tomllib.loads(self._file.read_text())
        except (OSError, ValueError) as error:
            LOG.error("reload refused, the earlier settings stay in force: %s: %s", self._file, error)
        else:
            LOG.info("settings read anew from %s", self._file)


class Metrics:
    """Counters, gauges and histograms, as a page in Prometheus's text format."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = defaultdict(float)
        self._gauges: dict[str, Callable[[], float]] = {}
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] += amount

    def seconds(self, name: str, value: float) -> None:
        """Count one duration in a histogram."""
        for bucket in BUCKETS:
            self.add(f"{name}_bucket", float(value <= bucket), le=str(bucket))
        self.add(f"{name}_count")
        self.add(f"{name}_sum", value)

    def spent(self, dependency: str, began: float) -> None:
        """Count one call of a dependency that began at that time of the monotonic clock."""
        self.add("dependency_calls_total", dependency=dependency)
        self.add("dependency_seconds_total", time.monotonic() - began, dependency=dependency)

    def gauge(self, name: str, value: Callable[[], float]) -> None:
        self._gauges[name] = value

    def page(self) -> str:
        with self._lock:
            rows = dict(self._values)
        lines = []
        for (name, labels), value in rows.items():
            inner = ",".join(f'{key}="{text}"' for key, text in labels)
            lines.append(f"{name}{{{inner}}} {value}")
        lines += [f"{name} {value()}" for name, value in {**self._gauges, **_PROCESS}.items()]
        return "\n".join(lines) + "\n"


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))


def _open_files() -> float:
    try:
        return float(len([*Path("/proc/self/fd").iterdir()]))
    except OSError:  # no descriptor is left for the listing itself
        return float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


_PROCESS: dict[str, Callable[[], float]] = {
    "process_resident_memory_bytes": _resident,
    "process_open_fds": _open_files,
    "process_max_fds": lambda: float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    "process_cpu_seconds_total": time.process_time,
    "process_start_time_seconds": lambda: _STARTED,
}
LOG = logging.getLogger("shop")
METRICS = Metrics()
Handler = Callable[[str, dict[str, str]], Any]


def set_up(name: str) -> Settings:
    """Open the log of a service, and read its settings."""
    file = logging.FileHandler(f"/var/log/shop/{name}.log")
    form = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {name} %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    form.converter = time.gmtime
    file.setFormatter(form)
    LOG.addHandler(file)
    LOG.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(file)
    settings = Settings(Path(f"/etc/shop/{name}.toml"))
    version = Path(sys.argv[0]).resolve().parent.name
    METRICS.add("build_info", version=version)
    LOG.info("%s %s starts with pid %d on port %d", name, version, os.getpid(), settings["port"])
    return settings


def serve(settings: Settings, routes: dict[str, Handler]) -> None:
    """Answer HTTP until the process ends; `workers` requests at a time, the rest waits."""
    workers = threading.BoundedSemaphore(int(settings.get("workers", 16)))

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/metrics":
                self._answer(200, METRICS.page().encode())
                return
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            fields = dict(urllib.parse.parse_qsl(url.query)) | {"body": sent.decode("latin-1")}
            fields["token"] = self.headers.get("Authorization", "").removeprefix("Bearer ")
            route, _, rest = url.path.lstrip("/").partition("/")
            began = time.monotonic()
            known = route if route in routes else "other"
            with workers:
                code, body = self._outcome(known, rest, fields)
            METRICS.seconds("http_request_seconds", time.monotonic() - began)
            METRICS.add("http_requests_total", route=known, code=str(code))
            self._answer(code, body)

        do_POST = do_GET  # noqa: N815 - so http.server wants it

        def _outcome(self, known: str, rest: str, fields: dict[str, str]) -> tuple[int, bytes]:
            handler = routes.get(known)
            if handler is None:
                return 404, b"not found\n"
            try:
                return 200, json.dumps(handler(rest, fields)).encode()
            except Fault as fault:
                log = LOG.error if fault.code >= 500 else LOG.warning
                log("%s /%s: %d: %s", self.command, known, fault.code, fault)
                return fault.code, b"see the log\n" if fault.code >= 500 else f"{fault}\n".encode()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
                LOG.error("%s /%s: 500: %s: %s", self.command, known, type(error).__name__, error)
                return 500, b"internal error\n"

        def _answer(self, code: int, body: bytes) -> None:
            try:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError as error:
                LOG.warning("the client left before its answer: %s", error)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            LOG.warning("a connection ended early: %s", sys.exc_info()[1])

    Server((settings.get("address", "127.0.0.1"), int(settings["port"])), Requests).serve_forever()


def call(name: str, url: str, timeout: float, body: bytes | None = None, key: str = "") -> Any:
    """Call another service once. Raises Fault 502 with its answer, or 504 after `timeout` seconds."""
    parts = urllib.parse.urlsplit(url)
    began = time.monotonic()
    reason = ""
    try:
        host = str(parts.hostname)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        looked_up = time.monotonic() - began
        if host != "127.0.0.1":
            METRICS.add("dependency_lookup_seconds_total", looked_up, dependency=name)
        if looked_up > 1:
            LOG.warning("looking up the name %s took %.2f s", host, looked_up)
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
        else:
            connection = HTTPConnection(host, port, timeout=timeout)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            connection.request(
                "GET" if body is None else "POST", f"{parts.path}?{parts.query}", body, headers
            )
            answer = connection.getresponse()
            text = answer.read().decode("latin-1").strip()
        finally:
            connection.close()
        if answer.status != 200:
            reason = str(answer.status)
            raise Fault(502, f"{name} answered {answer.status}: {text[:120]}")
        return json.loads(text)
    except TimeoutError:
        reason = "timeout"
        raise Fault(504, f"{name} did not answer within {timeout:g} s") from None
    except (OSError, HTTPException) as error:
        reason = type(error).__name__
        raise Fault(502, f"{name} at {parts.netloc} failed: {error}") from error
    finally:
        METRICS.spent(name, began)
        if reason:
            METRICS.add("dependency_errors_total", dependency=name, reason=reason)


class Database:
    """A pool of connections to MariaDB, opened when needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: queue.LifoQueue[pymysql.Connection[Any]] = queue.LifoQueue()
        self._free = threading.BoundedSemaphore(int(settings.get("pool", 6)))

    def connect(self) -> pymysql.Connection[Any]:
        given = self._settings
        return pymysql.connect(
            host=given.get("database", "127.0.0.1"), port=int(given.get("database_port", 3306)), user="shop",
            password=Path(given.get("password_file", "/etc/shop/database.password")).read_text().strip(),
            database="shop", connect_timeout=3, read_timeout=10, autocommit=True,
        )  # fmt: skip

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor; its connection returns to the pool, or is closed after an error."""
        if not self._free.acquire(timeout=3):
            METRICS.add("dependency_errors_total", dependency="mariadb", reason="pool")
            raise Fault(503, "no connection of the database pool became free within 3 s")
        began = time.monotonic()
        connection = None
        try:
            connection = self._idle.get_nowait() if not self._idle.empty() else self.connect()
            with connection.cursor() as cursor:
                yield cursor
            self.put_back(connection)
        except (pymysql.Error, OSError) as error:
            METRICS.add("dependency_errors_total", dependency="mariadb", reason=type(error).__name__)
            if connection is not None:
                connection.close()
            raise
        finally:
            METRICS.spent("mariadb", began)
            self._free.release()

    def put_back(self, connection: pymysql.Connection[Any]) -> None:
        self._idle.put(connection)
