"""What `techsapo health` says of the sign-in proxy: what nginx gets from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rows import each_row
from stacks import THREE_INSTANCES, spec, topology

from techsapo_ops.services.nginx.runtime import RUNTIME
from techsapo_ops.services.nginx.site import SIGN_IN_LOCATION
from techsapo_ops.stack.health import HealthPart, PartStatus

ADDRESS = "http://oauth2-proxy.example:4180"
SIGN_IN = {"sign_in": {"address": ADDRESS, "secret": "s" * 32}}


@contextmanager
def nginx(sign_in: int) -> Iterator[int]:
    """Answers as nginx with a sign-in proxy that answers `sign_in`, or hangs where that is 0; its port."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == SIGN_IN_LOCATION and not sign_in:
                over.wait()
                return
            self.send_response(sign_in if self.path == SIGN_IN_LOCATION else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def parts(directory: Path, port: int, timeout: float = 5, **auth: object) -> list[HealthPart]:
    app = {**THREE_INSTANCES, "auth": auth}
    found = topology(spec(app=app, nginx={"enabled": True, "listen": port}), directory)
    return list(RUNTIME.health_parts(found, found.of_kind("nginx")[0], timeout))


@each_row(
    "answer, status",
    [(401, "healthy"), (202, "healthy"), *((s, "degraded") for s in (302, 403, 404, 500, 502))],
)
def test_a_sign_in_proxy_that_does_not_answer_nginx_is_degraded_with_what_to_do(
    tmp_path: Path, answer: int, status: str
) -> None:
    with nginx(answer) as port:
        itself, sign_in = parts(tmp_path, port, **SIGN_IN)
    assert (itself.name, itself.status) == ("nginx", PartStatus.HEALTHY)
    assert (sign_in.name, sign_in.status, sign_in.vital) == ("sign-in", status, False)
    assert ADDRESS in sign_in.detail
    assert (str(answer) in sign_in.detail) == (answer in {302, 403, 404})
    assert ("oauth2-proxy" in sign_in.hint) == (status == "degraded")


def test_a_sign_in_proxy_that_hangs_is_degraded(tmp_path: Path) -> None:
    with nginx(0) as port:
        sign_in = parts(tmp_path, port, 0.5, **SIGN_IN)[1]
    assert sign_in.status == PartStatus.DEGRADED
    assert "does not answer" in sign_in.detail


def test_there_is_no_such_row_where_nobody_signs_in_or_nginx_is_down(tmp_path: Path) -> None:
    with nginx(401) as port:
        assert [p.name for p in parts(tmp_path, port)] == ["nginx"]
    assert [p.name for p in parts(tmp_path, port, **SIGN_IN)] == ["nginx"]
