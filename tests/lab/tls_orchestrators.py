"""Orchestrators behind TLS that keep what reaches them, and the certificates that they show."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from techsapo_ops.certs.material import Pair, certificate_pem, general_name, key_pem, new_key

VERDICT: dict[str, Any] = {
    "request_id": "req_1",
    "task_type": "basic",
    "language": "en",
    "answer": "look at `df -h`",
    "answered_by": "sim-a",
    "accepted": True,
    "confidence": 0.8,
    "consensus": 0.8,
    "thresholds": {"confidence": 0.7, "consensus": 0.6},
    "calibrated": True,
    "evidence": {"labels": 40, "low": 0.7, "high": 0.9},
    "provisional": False,
    "simulated": False,
    "notes": [],
    "providers": [],
    "cost_usd": 0.0,
    "processing_ms": 1,
    "cache": "miss",
}


@dataclass
class Reached:
    """A server, and what reached it."""

    port: int
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each, names in lower case."""
    redirect: str = ""
    """Where it sends everybody, if anywhere."""
    context: ssl.SSLContext | None = None

    def show(self, folder: Path) -> None:
        """Show the certificate in `folder` from now on."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")

    def url(self, host: str = "127.0.0.1", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}"

    @property
    def keys(self) -> list[str]:
        """The Authorization headers that it was given."""
        return [headers["authorization"] for _, headers in self.requests if "authorization" in headers]


@contextmanager
def orchestrator(folder: Path | None, host: str = "127.0.0.1") -> Iterator[Reached]:
    """Answers questions, logs and followers of metrics; by TLS with the certificate in `folder`, if any."""
    server = _Server((host, 0), _Handler)
    server.daemon_threads = True
    server.reached = Reached(server.server_address[1])
    if folder is not None:
        server.reached.show(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.reached
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    reached: Reached

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a client may leave in the midst of the handshake."""
        if self.reached.context is not None:
            try:
                request = self.reached.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        with suppress(OSError):
            super().finish_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._note()
        if self.path == "/ping":
            self._send(b"pong\n", "text/plain")
            return
        readings = (
            {
                "type": "metrics",
                "data": {
                    "time": time,
                    "instance": "app-1",
                    "metrics": {"techsapo_http_requests_total": 4.0 * time},
                },
            }
            for time in (1.0, 2.0)
        )
        self._send(
            b"".join(b"event: message\ndata: " + json.dumps(r).encode() + b"\n\n" for r in readings),
            "text/event-stream",
        )

    def do_POST(self) -> None:
        self._note()
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verdict = VERDICT
        if "error_output" in asked:
            verdict = {
                **VERDICT, "problem_category": "disk", "severity": "high", "root_cause": "full",
                "solution_steps": ["df -h"], "analysis": VERDICT,
            }  # fmt: skip
        told = json.dumps(verdict).encode()
        if self.headers.get("Accept") == "text/event-stream":
            self._send(b"event: verdict\ndata: " + told + b"\n\n", "text/event-stream")
        else:
            self._send(told, "application/json")

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.reached.requests.append((self.path, headers))

    def _send(self, body: bytes, content_type: str) -> None:
        redirect = self.server.reached.redirect
        if redirect:
            body, content_type = b"<html>moved</html>", "text/html"
        self.send_response(307 if redirect else 200)
        if redirect:
            self.send_header("Location", f"{redirect}{self.path}")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def self_signed(folder: Path, *names: str, days: int = 30) -> Path:
    """A certificate that signed itself and is no CA; with negative `days` it has expired."""
    key, now = new_key(), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    keep(folder, Pair(key_pem(key), certificate_pem(certificate)))
    return folder


def keep(folder: Path, pair: Pair) -> None:
    """Put a key and its chain where servers read them."""
    folder.mkdir(parents=True)
    (folder / "privkey.pem").write_bytes(pair.key)
    (folder / "fullchain.pem").write_bytes(pair.chain)
