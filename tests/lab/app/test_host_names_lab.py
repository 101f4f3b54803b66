"""A page whose name was made to lead to this host (DNS rebinding), at a real stack behind a real nginx."""

from __future__ import annotations

import socket

import httpx
import pytest
from projects import only_redis, project
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = pytest.mark.lab
QUESTION = {"prompt": "disk full", "task_type": "basic"}


def asked(port: int, host: str) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{port}/api/v1/generate", json=QUESTION, headers={"Host": host}, timeout=60
    )


def opened(port: int, host: str, origin: str) -> int:
    """Status of the handshake of a WebSocket that a page of `origin` opens to `host`."""
    sock = socket.create_connection(("127.0.0.1", port))
    try:
        with connect(f"ws://{host}/ws/metrics", sock=sock, origin=origin, proxy=None) as client:  # type: ignore[arg-type]
            return int(client.response.status_code)
    except InvalidStatus as refused:
        return int(refused.response.status_code)


def test_a_name_that_the_spec_does_not_list_is_refused_by_nginx_and_the_app() -> None:
    spec = only_redis()
    spec["nginx"]["enabled"] = True
    spec["app"]["allowed_hosts"] = ["web.example"]
    app, edge = spec["app"]["port"], spec["nginx"]["listen"]
    with project(spec) as stack:
        stack.run("up")
        stack.well()
        assert asked(edge, f"web.example:{edge}").status_code == 200
        for port in (edge, app):
            refused = asked(port, "evil.example")
            assert (refused.status_code, refused.json()["setting"]) == (421, "app.allowed_hosts")
            assert asked(port, "127.0.0.1").status_code == 200
        assert opened(edge, "evil.example", "http://evil.example") == 421
        assert opened(edge, f"web.example:{edge}", f"http://web.example:{edge}") == 101
        assert opened(edge, f"web.example:{edge}", "http://web.example:1") == 403
        assert opened(edge, "web.example", "https://web.example") == 101, "TLS ends before nginx"
