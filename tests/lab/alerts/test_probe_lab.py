"""Probes and API clients against the real servers."""

from __future__ import annotations

from pathlib import Path

import pytest
import servers

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.probe import ProbeResult, probe
from techsapo_ops.stack.service import Probe

pytestmark = pytest.mark.lab


def ask(
    kind: Probe, server: servers.Server, user: str | None = None, password: str | None = None
) -> ProbeResult:
    return probe(kind, Address(server.host, server.port), timeout=5, user=user, password=password)


def test_redis_answers_and_a_missing_or_wrong_password_is_named(tmp_path: Path) -> None:
    kind = Probe("redis")
    with servers.redis(tmp_path / "open") as server:
        assert ask(kind, server).detail == "PONG"
        assert "has no password, but" in ask(kind, server, password="x").detail
    with servers.redis(tmp_path / "locked", password="日本語 pw") as server:
        assert ask(kind, server, password="日本語 pw").ok
        assert "requires a password (NOAUTH)" in ask(kind, server).detail
        wrong = ask(kind, server, password="hunter2")
        assert "refused the password" in wrong.detail
        assert "hunter2" not in wrong.detail
        server.kill()
        assert ask(kind, server).detail == "connection refused"


def test_mariadb_answers_and_a_wrong_password_is_named(tmp_path: Path) -> None:
    kind = Probe("mysql")
    with servers.mariadb(tmp_path) as server:
        good = ask(kind, server, "root", server.password)
        assert good.ok
        assert good.detail.startswith("SELECT 1 (")
        wrong = ask(kind, server, "root", "hunter2")
        assert wrong.detail == "refused user root: wrong password (mysql.password)"
        assert ask(kind, server).detail == "answers (not logged in)"
        for _ in range(12):  # a hundred broken handshakes would make MariaDB block this host
            assert not ask(kind, server, "root", "x").ok
        assert ask(kind, server, "root", server.password).ok


def test_nginx_on_a_tls_port_is_not_taken_for_ready(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from techsapo_ops.certs.self_signed import ensure

    made = ensure(tmp_path / "web", ["localhost"], now=datetime.now(UTC))
    port = servers.free_port()
    conf = f"""
pid {tmp_path}/nginx.pid; error_log stderr; events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {made.chain};
ssl_certificate_key {made.key}; location / {{ return 200 ok; }} }} }}
"""
    with servers.nginx(conf, tmp_path, port=port) as server:
        found = ask(Probe("http", "/"), server)
        assert not found.ok
        assert "plain HTTP request was sent to HTTPS port" in found.detail
