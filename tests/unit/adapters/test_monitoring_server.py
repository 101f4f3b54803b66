"""What Prometheus and Alertmanager are asked with, and what is said where they refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.basic_login import BasicLogin, basic_authorization
from techsapo_ops.adapters.monitoring_server import ApiError, LastReload
from techsapo_ops.adapters.probe import probe
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.stack.service_facts import Probe

MOMENTS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
METRICS = """prometheus_config_last_reload_successful 1
prometheus_config_last_reload_success_timestamp_seconds 1.7957004162850106e+09
alertmanager_config_last_reload_successful 0
alertmanager_config_last_reload_success_timestamp_seconds 1.5e+09
"""


@contextmanager
def guarded(password: str | None) -> Iterator[str]:
    """A server that answers 401 without the password of techsapo; None: that asks for none."""
    expected = "" if password is None else basic_authorization("techsapo", password)["Authorization"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = not expected or self.headers.get("Authorization") == expected
            body = METRICS.encode() if self.path == "/metrics" else b"[]"
            body = body if known else b"Unauthorized\n"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def login(tmp_path: Path) -> BasicLogin:
    file = tmp_path / "alertmanager-password"
    file.write_text("鍵 of its own\n", encoding="utf-8")
    return BasicLogin("techsapo", file)


def test_the_password_is_read_anew_for_each_request(login: BasicLogin) -> None:
    with guarded("鍵 of its own") as url:
        client = Alertmanager(url, login=login)
        assert client.alerts() == ()
        login.password_file.write_text("another")
        with pytest.raises(ApiError, match="HTTP 401: it asks for a login"):
            client.alerts()


def test_what_only_root_may_read_is_told_where_a_login_is_refused(login: BasicLogin) -> None:
    with guarded("another") as url:
        with pytest.raises(ApiError) as caught:
            Alertmanager(url, login=login).silence((Matcher.parse("a=b"),), *MOMENTS, "me", "why")
        assert caught.value.hint == (
            f"its password is in {login.password_file}, which its owner and root may read: try sudo"
        )
        gone = BasicLogin("techsapo", login.password_file.with_name("gone"))
        with pytest.raises(ApiError) as caught:
            Prometheus(url, login=gone).targets()
        assert "`techsapo up` makes it" in caught.value.hint


def test_a_server_that_asks_for_no_login_is_asked_also_where_there_is_no_password_yet(tmp_path: Path) -> None:
    with guarded(None) as url:
        assert Alertmanager(url, login=BasicLogin("techsapo", tmp_path / "gone")).alerts() == ()


def test_the_last_reload_is_told_by_each_server_of_itself(login: BasicLogin) -> None:
    with guarded("鍵 of its own") as url:
        assert Prometheus(url, login=login).reloaded() == LastReload(True, 1795700416.2850106)
        assert Alertmanager(url, login=login).reloaded() == LastReload(False, 1.5e9)


def test_a_probe_logs_in_and_shows_no_password(login: BasicLogin) -> None:
    with guarded("鍵 of its own") as url:
        address = Address("127.0.0.1", int(url.rpartition(":")[2]))
        ready = Probe("http", "/-/ready")
        found = probe(ready, address, timeout=5, user="techsapo", password="鍵 of its own")
        assert (found.ok, found.status, found.detail) == (True, 200, "HTTP 200")
        found = probe(ready, address, timeout=5)
        assert (found.ok, found.status, found.detail) == (False, 401, "HTTP 401: Unauthorized")
