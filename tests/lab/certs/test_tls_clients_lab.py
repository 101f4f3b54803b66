"""Who gets an API key: real commands against real TLS servers, some of them somebody else's."""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from rows import each_row
from tls_orchestrators import Reached, keep, orchestrator, self_signed

from techsapo_ops.certs.self_signed import ensure, local_authority, sign
from techsapo_ops.cli import main as cli

pytestmark = pytest.mark.lab

KEY = "ts_lab_0123456789"
SITE = "techsapo.example.com"
COMMANDS = {
    "ask": ["ask", "why?", "--url"],
    "ask --log": ["ask", "--log", "app.log", "--url"],
}
Run = Callable[..., tuple[int, str]]

every_command = each_row("command", COMMANDS)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with an API key in a folder of its own; gives its exit code and its stderr."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.log").write_text("no space left on device\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TECHSAPO_API_KEY", KEY)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(command: str, url: str = "", *options: str) -> tuple[int, str]:
        argv = [*COMMANDS[command], url] if url else COMMANDS[command][:-1]
        monkeypatch.setattr("sys.argv", ["techsapo", *argv, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def own_certificate(*names: str, days: int = 30, now: datetime | None = None) -> Path:
    """What the stack in this folder deployed, signed by its local CA."""
    folder = Path(".techsapo/certs/site").absolute()
    ensure(folder, names, days=days, now=now or datetime.now(UTC))
    return folder


@every_command
def test_somebody_elses_self_signed_certificate_gets_no_byte_of_a_request(
    run: Run, tmp_path: Path, command: str
) -> None:
    own_certificate("127.0.0.1")  # there is a stack here, and this is not its certificate
    with orchestrator(self_signed(tmp_path / "foreign", "127.0.0.1", "localhost")) as server:
        code, said = run(command, server.url())
    assert server.requests == []
    assert code == 1
    assert f"{server.url()}/" in said
    assert "certificate is self-signed and not trusted on this host; nothing was sent" in said
    assert "--ca-file FILE" in said
    assert f"openssl s_client -connect 127.0.0.1:{server.port}" in said


@every_command
def test_the_same_certificate_named_by_ca_file_is_trusted(run: Run, tmp_path: Path, command: str) -> None:
    folder = self_signed(tmp_path / "foreign", "127.0.0.1")
    with orchestrator(folder) as server:
        assert run(command, server.url(), "--ca-file", str(folder / "fullchain.pem")) == (0, "")
    assert server.keys == [f"Bearer {KEY}"]


@each_row("command, host", itertools.product(COMMANDS, ["127.0.0.1", "localhost"]))
def test_the_stacks_own_certificate_needs_no_options_though_it_is_for_the_sites_name(
    run: Run, command: str, host: str
) -> None:
    with orchestrator(own_certificate(SITE)) as server:
        assert run(command, server.url(host)) == (0, "")
    assert server.keys == [f"Bearer {KEY}"]


@every_command
def test_a_certificate_of_the_local_ca_for_another_name_is_refused(
    run: Run, tmp_path: Path, command: str
) -> None:
    own_certificate(SITE)
    authority = local_authority(Path(".techsapo/certs/.ca"), datetime.now(UTC))
    keep(tmp_path / "other", sign(["other.example.com"], authority, now=datetime.now(UTC)))
    with orchestrator(tmp_path / "other") as server:
        code, said = run(command, server.url())
    assert (code, server.requests) == (1, [])
    assert "the server's certificate is for another name" in said


@every_command
def test_an_expired_certificate_is_refused_though_it_is_the_stacks_own(run: Run, command: str) -> None:
    with orchestrator(own_certificate(SITE, days=1, now=datetime.now(UTC) - timedelta(days=2))) as server:
        code, said = run(command, server.url())
    assert (code, server.requests) == (1, [])
    assert "the server's certificate has expired; nothing was sent" in said
    assert "renew the certificate on the server" in said


@every_command
def test_an_authority_of_the_system_is_trusted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    authority = local_authority(tmp_path / "company", datetime.now(UTC))
    keep(tmp_path / "site", sign(["127.0.0.1"], authority, now=datetime.now(UTC)))
    with orchestrator(tmp_path / "site") as server:
        assert run(command, server.url())[0] == 1
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "company/ca.pem"))
        assert run(command, server.url()) == (0, "")
    assert server.keys == [f"Bearer {KEY}"]


@every_command
def test_a_redirect_is_not_followed_so_the_key_stays_with_whom_it_was_sent_to(run: Run, command: str) -> None:
    folder = own_certificate("127.0.0.1")
    with orchestrator(folder) as elsewhere, orchestrator(folder) as server:
        server.redirect = elsewhere.url()
        assert run(command, server.url())[0] == 1
    assert len(server.requests) == 1
    assert elsewhere.requests == []


@every_command
def test_a_key_goes_by_plain_http_on_loopback(run: Run, command: str) -> None:
    with orchestrator(None) as server:
        assert run(command, server.url(scheme="http")) == (0, "")
    assert server.keys == [f"Bearer {KEY}"]


def outside_address() -> str:
    """An address of this host beyond loopback."""
    for found in psutil.net_if_addrs().values():
        for each in found:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                return str(each.address)
    pytest.skip("this host has no address beyond loopback")


@every_command
def test_a_key_is_not_sent_by_plain_http_beyond_loopback_and_nobody_is_connected_to(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    host, connected = outside_address(), []
    with orchestrator(None, host) as server:
        monkeypatch.setattr(socket, "create_connection", lambda *a, **_: connected.append(a))
        code, said = run(command, server.url(host, "http"))
        assert connected == []
        monkeypatch.undo()
    assert server.requests == []
    assert code == 2
    assert "an API key is not sent over plain http to another host; nothing was sent" in said
    assert "use https" in said


def exposed_spec(app: Reached, front: Reached | None = None) -> None:
    """A spec whose app listens beyond loopback, where `app` is, and nginx where `front` is."""
    spec: dict[str, Any] = {"project": "techsapo", "app": {"host": outside_address(), "port": app.port}}
    if front is not None:
        spec |= {"nginx": {"tls_listen": front.port}, "certificates": {"site": {"names": [SITE]}}}
    Path("techsapo.yaml").write_text(json.dumps(spec))


def test_a_stack_whose_app_listens_on_an_own_address_of_this_host_is_asked_there(run: Run) -> None:
    with orchestrator(None, outside_address()) as app:
        exposed_spec(app)
        assert run("ask") == (0, "")
    assert app.keys == [f"Bearer {KEY}"]


def test_such_a_stack_is_asked_by_tls_where_its_nginx_has_a_certificate(run: Run) -> None:
    with orchestrator(None, outside_address()) as app, orchestrator(own_certificate(SITE)) as front:
        exposed_spec(app, front)
        assert run("ask") == (0, "")
    assert (app.requests, front.keys) == ([], [f"Bearer {KEY}"])


def test_an_address_of_the_spec_that_another_host_has_is_not_sent_a_key(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with orchestrator(None, outside_address()) as app:
        exposed_spec(app)
        monkeypatch.setattr(psutil, "net_if_addrs", dict)  # a shared address that went to the other machine
        code, said = run("ask")
    assert (code, app.keys) == (2, [])
    assert "an API key is not sent over plain http to another host" in said


LOGINS = ("http://127.0.0.1:80@evil.example/", "http://user:secret@127.0.0.1:9/", "https://@evil.example/")


@each_row("command, url", itertools.product(COMMANDS, LOGINS))
def test_a_login_in_an_address_is_wrong_usage_and_is_not_shown(run: Run, command: str, url: str) -> None:
    code, said = run(command, url)
    assert code == 2
    assert "contains a user name or password" in said
    assert "secret" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
@pytest.mark.parametrize("name", [".ca/ca.pem", "fullchain.pem"])
def test_a_certificate_that_another_user_put_into_the_folder_vouches_for_nobody(run: Run, name: str) -> None:
    folder = own_certificate("127.0.0.1")
    planted = (folder.parent / name if name.startswith(".") else folder / name).absolute()
    os.chown(planted, 12345, 12345)
    with orchestrator(folder) as server:
        code, said = run("ask", server.url())
    assert (code, server.requests) == (1, [])
    assert "files that other users can change are not used" in said
    assert f"{planted} is owned by uid 12345" in said
