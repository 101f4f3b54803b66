"""The generated nginx.conf in a real nginx, before instances that a test can cut off."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from servers import free_port, running, tcp_open, wait_for
from stacks import real_host, rendered, spec, topology

from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.topology import Topology


class Backend:
    """One app instance: answers with its port and the request's headers, and can be cut off."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections.append(self.connection)

            def do_GET(self) -> None:
                if self.path.endswith("/stream"):
                    self._stream()
                    return
                if self.headers.get("Upgrade"):
                    self.send_response(101)
                    self.send_header("Upgrade", self.headers["Upgrade"])
                    self.send_header("Connection", self.headers["Connection"])
                    self.end_headers()
                    return
                body = json.dumps({"port": outer.port, "headers": dict(self.headers)}).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                if self.path.startswith("/web/"):
                    self.send_header("Cache-Control", "no-cache")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                outer.posts += 1
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.dies:
                    self.close_connection = True
                    return
                if outer.sends_back and self.headers.get("X-Techsapo-Retried"):
                    self.send_response(409)
                    self.send_header("X-Accel-Redirect", "@techsapo_once")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.do_GET()

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(b"data: first\n\n")
                outer.release.wait(10)
                self.wfile.write(b"data: second\n\n")
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.status = 200
        self.posts = 0
        self.bodies: list[bytes] = []
        self.dies = False
        self.sends_back = False
        self.connections: list[socket.socket] = []
        self.release = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket.listen(128)  # its own queue of 5 turns a crowd away
        self.port: int = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        """Gone as after kill -9: kept connections are cut and new ones refused."""
        if not self.thread.is_alive():
            return
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for connection in self.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Edge:
    """A running nginx with its backends."""

    port: int
    tls_port: int
    backends: list[Backend]
    where: Topology

    def get(self, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, Any, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def who(self) -> int:
        status, body, _ = self.get()
        assert status == 200
        port: int = json.loads(body)["port"]
        return port


@contextmanager
def edge(directory: Path, *, folder: str = "plain", **sections: Any) -> Iterator[Edge]:
    with ExitStack() as stack:
        backends = [Backend() for _ in range(3)]
        for backend in backends:
            stack.callback(backend.stop)
        port, tls_port = free_port(), free_port()
        instances = [
            {"port": b.port, "weight": w, "backup": w == 1} for b, w in zip(backends, (3, 2, 1), strict=True)
        ]
        wanted = spec(
            **{
                **sections,
                "app": {**sections.get("app", {}), "instances": instances},
                "nginx": {"listen": port, "tls_listen": tls_port, **sections.get("nginx", {})},
            },
        )
        facts = real_host(sys.executable, root=os.geteuid() == 0)
        where = topology(wanted, directory / folder, facts=facts)
        (program,) = [p for p in programs(where) if p.service == "nginx"]
        path = where.layout.config / "nginx/nginx.conf"
        path.parent.mkdir(parents=True)
        path.write_text(rendered(wanted, where)["nginx/nginx.conf"].content, encoding="utf-8")
        program.directory.mkdir(parents=True)
        for name, certificate in wanted.certificates.items():
            ensure(
                where.certificate_dir(name),
                certificate.names,
                now=datetime.now(UTC),
            )
        # Through a pipe, as supervisord starts it: nginx opens /dev/stdout by name.
        argv = ["/bin/sh", "-c", 'exec "$@" | cat', "sh", *program.argv]
        stack.enter_context(running(argv, program.directory, port, lambda: tcp_open(port)))
        stack.callback(_quit, program.directory / "nginx.pid")
        yield Edge(port, tls_port, backends, where)


def _quit(pidfile: Path) -> None:
    pid = int(pidfile.read_text())
    os.kill(pid, 15)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), what="nginx gone")
