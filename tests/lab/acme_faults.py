"""What goes wrong with a CA: a front that refuses or breaks off, and a peer in our place when it looks."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from acme_ca import Pebble
from servers import free_port

from techsapo_ops.certs.self_signed import ensure

Refusal = tuple[int, dict[str, object], dict[str, str]]
"""Status, problem document and headers of an answer in pebble's place."""

_PASSED = ("Replay-Nonce", "Location", "Link", "Content-Type", "Retry-After")


@dataclass
class Front:
    """A proxy before pebble. `refuse` maps a part of a path to what is answered in its place."""

    directory: str
    ca_file: Path
    refuse: dict[str, Refusal] = field(default_factory=dict)
    break_off: str = ""
    """Requests whose path has this end without an answer."""
    seen: list[str] = field(default_factory=list)

    def limit(self, path: str, seconds: int) -> None:
        """Answer requests to `path` as a CA does that has had enough."""
        limited = refusal(429, "rateLimited", "too many certificates already issued")
        self.refuse[path] = (*limited[:2], {"Retry-After": str(seconds)})

    def answer_to(self, path: str) -> Refusal | None:
        """What is answered in pebble's place, None where pebble is asked."""
        return next((made for part, made in self.refuse.items() if part in path), None)


def refusal(status: int, code: str, detail: str) -> Refusal:
    """An error of ACME (RFC 8555, 6.7)."""
    return status, {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}, {}


def _passed(headers: Message) -> dict[str, str]:
    """What the client is given of an answer's headers; pebble sends several Link headers."""
    return {name: ", ".join(map(str, headers.get_all(name, ()))) for name in _PASSED if name in headers}


@contextmanager
def front(directory: Path, ca: Pebble) -> Iterator[Front]:
    """A front of `ca`; pebble writes its URLs by the Host header, so they all lead here."""
    own = ensure(directory / "tls", ["127.0.0.1"], now=datetime.now(UTC))
    port = free_port()
    made = Front(f"https://127.0.0.1:{port}/dir", directory / ".ca/ca.pem")
    upstream = ca.directory.removesuffix("/dir")
    trust = ssl.create_default_context(cafile=str(ca.ca_file))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass()

        def do_HEAD(self) -> None:
            self._pass()

        def do_POST(self) -> None:
            self._pass()

        def _pass(self) -> None:
            made.seen.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if made.break_off and made.break_off in self.path:
                self.close_connection = True
                return
            refused = made.answer_to(self.path)
            if refused is not None:
                status, problem, headers = refused
                content = json.dumps(problem).encode()
                self._answer(status, content, {"Content-Type": "application/problem+json", **headers})
                return
            request = urllib.request.Request(
                upstream + self.path,
                data=body if self.command == "POST" else None,
                method=self.command,
                headers={
                    "Host": self.headers["Host"],
                    "Content-Type": self.headers.get("Content-Type", ""),
                    "User-Agent": "front",
                },
            )
            try:
                with urllib.request.urlopen(request, context=trust, timeout=60) as answer:
                    passed = _passed(answer.headers)
                    self._answer(answer.status, answer.read(), passed)
            except urllib.error.HTTPError as error:
                passed = _passed(error.headers)
                self._answer(error.code, error.read(), passed)

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC), usegmt=True))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.chain, own.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server):
        yield made


@contextmanager
def impostor(host: str, port: int) -> Iterator[None]:
    """A web server that does not have the proof of any validation."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b"not here")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    with _serving(server):
        yield


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
