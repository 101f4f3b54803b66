"""The weekly report on its way: Slack, a mail server with STARTTLS, webhooks; slow ones, and kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
import servers
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.debian import Debian
from fakes.open_stacks import open_stack
from mail_server import Mailbox, mail_server
from rows import each_row
from slack import incoming_webhook
from stacks import spec, topology

from techsapo_ops.adapters import mail
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.operations.report.delivery import NotDelivered, deliver
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.operations.report.sending import targets
from techsapo_ops.spec.models import Spec

pytestmark = pytest.mark.lab

HOSTILE = "<!channel> & *x* <https://evil.example|y>"


def report(wanted: Spec, folder: Path) -> Report:
    """Of a stack whose Prometheus is away."""
    nobody = Prometheus(f"http://127.0.0.1:{servers.free_port()}")
    made = report_of(open_stack(topology(wanted, folder), runner=Debian()), datetime.now(UTC), server=nobody)
    return Report(made.project, made.locale, made.made, made.days, f"{HOSTILE} {made.title}", made.sections)


def sent(folder: Path, timeout: float = 5, locale: str = "ja", **notifications: Any) -> Report:
    """Send one to the only receiver."""
    wanted = spec(locale=locale, notifications=notifications)
    told = report(wanted, folder)
    (target,) = targets(wanted)
    deliver(target, told, timeout=timeout)
    return told


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers every request with these bytes, or with nothing at all."""
    took: list[bytes] = []

    def behave(connection: socket.socket, over: threading.Event) -> None:
        took.append(peers.request_of(connection))
        if not answer:
            over.wait()
        connection.sendall(answer)

    with peers.peer(behave) as port:
        yield f"http://127.0.0.1:{port}/services/T0/B0/s3cret", took


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@each_row("locale", ["ja", "en"])
def test_slack_takes_it_and_shows_names_as_they_are(locale: str, tmp_path: Path) -> None:
    with incoming_webhook() as slack:
        told = sent(tmp_path, locale=locale, report=[{"kind": "slack", "url": slack.url, "channel": "#ops"}])
    (message,) = slack.messages
    assert message.text == told.text
    assert HOSTILE in message.text


def test_a_mailbox_gets_it_by_starttls_and_from_a_server_without_it_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    to = [{"kind": "email", "to": "Ops <ops@example.com>, b@example.com"}]
    with mail_server(tls) as box:
        smtp = {"smarthost": f"localhost:{box.port}", "sender": "techsapo@example.com"}
        told = sent(tmp_path, report=to, smtp=smtp)
    (message,) = box.messages
    assert (str(message["To"]), str(message["Subject"])) == (to[0]["to"], told.title)
    assert message.get_content().strip() == told.page
    with mail_server() as plain:
        smtp = {"smarthost": f"localhost:{plain.port}", "sender": "techsapo@example.com"}
        with pytest.raises(NotDelivered, match="offers no STARTTLS") as refused:
            sent(tmp_path, report=to, smtp=smtp)
    assert not refused.value.perhaps
    assert plain.messages == []


LOGIN = ("ops@example.com", "korrekt-Pferd7")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server for localhost has, whom this host trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def mailed(
    box: Mailbox, folder: Path, login: tuple[str, str] | None = LOGIN, host: str = "localhost"
) -> Report:
    """Send one by this server."""
    smtp = {"smarthost": f"{host}:{box.port}", "sender": "techsapo@example.com"}
    if login is not None:
        smtp |= {"username": login[0], "password": login[1]}
    return sent(folder, report=[{"kind": "email", "to": "ops@example.com"}], smtp=smtp)


@pytest.mark.parametrize("password", [LOGIN[1], "schön ふるい"])
def test_a_server_that_wants_a_login_gets_it_after_starttls(
    password: str, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    login = (LOGIN[0], password)
    with mail_server(tls, login=login) as box:
        told = mailed(box, tmp_path, login)
        with pytest.raises(NotDelivered, match=r"530 5.7.0 Authentication required"):
            mailed(box, tmp_path, None)
    (message,) = box.messages
    assert message.get_content().strip() == told.page


def test_port_465_begins_with_tls_and_logs_in_there(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(tls, at_once=True, login=LOGIN) as box:
        # Only root may listen on the port itself.
        monkeypatch.setattr(mail, "_IMPLICIT_TLS", box.port)
        mailed(box, tmp_path)
        assert [str(message["To"]) for message in box.messages] == ["ops@example.com"]
        with pytest.raises(NotDelivered, match="CERTIFICATE_VERIFY_FAILED") as untrusted:
            mailed(box, tmp_path, host="127.0.0.1")
    assert not untrusted.value.perhaps
    assert len(box.messages) == 1
    assert box.refused == ["no TLS"]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("password", ["falsches-Pferd8", "falsch-schön"])
@pytest.mark.parametrize(
    "refusal", ["535 5.7.8 Error: authentication failed", "535 5.7.8 {sent} is not it", "454 4.7.0 later"]
)
def test_a_wrong_password_is_told_without_it(
    at_once: bool,
    password: str,
    refusal: str,
    tmp_path: Path,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mail_server(tls, at_once=at_once, login=LOGIN, refusal=refusal) as box:
        monkeypatch.setattr(mail, "_IMPLICIT_TLS", box.port if at_once else 465)
        with pytest.raises(NotDelivered, match=refusal.partition(" ")[0]) as refused:
            mailed(box, tmp_path, (LOGIN[0], password))
    told = f"{refused.value} {refused.value.message} {refused.value.hint}"
    assert "notifications.smtp" in refused.value.hint
    assert password not in told
    assert b64encode(f"\0{LOGIN[0]}\0{password}".encode()).decode().rstrip("=") not in told
    assert not refused.value.perhaps
    assert (box.messages, box.refused) == ([], ["login"])


def test_a_server_that_offers_no_login_is_told_so(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with mail_server(tls) as box:
        for password, words in ((LOGIN[1], "AUTH extension not supported"), ("schön", "takes no login")):
            with pytest.raises(NotDelivered, match=words):
                mailed(box, tmp_path, (LOGIN[0], password))
    assert box.messages == []


def certificate(folder: Path) -> Path:
    """One for localhost, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem"


def test_a_webhook_gets_the_report_as_json(tmp_path: Path) -> None:
    with answering(http("200 OK", "")) as (url, took):
        told = sent(tmp_path, report=[{"kind": "webhook", "url": url}])
    body = json.loads(took[0].partition(b"\r\n\r\n")[2])
    assert body == {"kind": "techsapo.report", **json.loads(json.dumps(told.to_json()))}


@each_row(
    "answer, words",
    [
        (http("404 Not Found", "no_service"), "answered HTTP 404 no_service"),
        (http("403 Forbidden", "POST /services/T0/B0/s3cret is forbidden"), "answered HTTP 403"),
        (http("302 Found", "s3cret"), "answered HTTP 302"),
    ],
)
def test_a_refusal_is_told_without_the_urls_secret(answer: bytes, words: str, tmp_path: Path) -> None:
    with answering(answer) as (url, _), pytest.raises(NotDelivered) as refused:
        sent(tmp_path, report=[{"kind": "slack", "url": url}])
    assert refused.value.message == words
    assert "s3cret" not in str(refused.value)
    assert not refused.value.perhaps


@each_row("kind", ["slack", "email"])
def test_a_receiver_that_hangs_ends_in_time(kind: str, tmp_path: Path) -> None:
    with answering(b"") as (url, _):
        began = time.monotonic()
        smtp = {"smarthost": url.split("/")[2], "sender": "a@example.com"}
        one = {"kind": kind, "url": url} if kind == "slack" else {"kind": kind, "to": "b@example.com"}
        with pytest.raises(NotDelivered) as refused:
            sent(tmp_path, timeout=1, report=[one], smtp=smtp)
    assert time.monotonic() - began < 60
    assert "s3cret" not in str(refused.value)
    # Slack may have read it; the mail server never said that it is one.
    assert refused.value.perhaps is (kind == "slack")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "techsapo_ops", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_by_hand_and_by_the_job_it_is_sent_once_also_after_kill_9(tmp_path: Path) -> None:
    with answering(b"") as (url, took):
        (tmp_path / "techsapo.yaml").write_text(
            yaml.safe_dump(
                {
                    "project": "lab",
                    "locale": "en",
                    "notifications": {"report": [{"kind": "slack", "url": url}]},
                }
            )
        )
        argv = [sys.executable, "-m", "techsapo_ops", "report", "--send"]
        with subprocess.Popen(
            argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as sending:
            servers.wait_for(lambda: bool(took), timeout=60, what="the report on its way")
            os.kill(sending.pid, signal.SIGKILL)
        job = run(tmp_path, "jobs", "run", "report")
        assert job.returncode == 1
        assert "sending it was cut off at" in job.stdout + job.stderr
        again = run(tmp_path, "jobs", "run", "report")
        assert again.returncode == 0, again.stderr
        assert len(took) == 1
    with incoming_webhook() as slack:
        text = (tmp_path / "techsapo.yaml").read_text().replace(url, slack.url)
        (tmp_path / "techsapo.yaml").write_text(text)
        assert run(tmp_path, "report", "--send").returncode == 0
        second = run(tmp_path, "report", "--send")
        assert second.returncode == 0
        assert "was sent at" in second.stderr
        assert run(tmp_path, "report", "--send", "--again").returncode == 0
        assert len(slack.messages) == 2
    assert slack.refused == []


def test_a_real_prometheus_counts_a_week_across_restarts(tmp_path: Path) -> None:
    now = int(time.time())
    begin = now - 6 * 86_400
    lines = ["# TYPE techsapo_budget_refusals counter"]
    # 30 refusals, a restart in the middle.
    for n, value in enumerate([0, 10, 20, 20, 0, 5, 10]):
        for step in range(10):
            at = begin + n * 3000 + step * 300
            lines.append(f'techsapo_budget_refusals_total{{code="budget_exhausted"}} {value} {at}')
    lines.append("# TYPE ALERTS gauge")
    for n in (*range(12), *range(40, 52)):
        name = 'alertname="AppDown",alertstate="firing",severity="critical"'
        lines.append(f"ALERTS{{{name}}} 1 {begin + n * 60}")
    lines.append("# TYPE up gauge")
    lines += [f'up{{job="app",instance="a"}} {int(n > 20)} {begin + n * 15}' for n in range(400)]
    (tmp_path / "week.txt").write_text("\n".join([*lines, "# EOF", ""]))
    data = tmp_path / "tsdb"
    subprocess.run(
        [
            servers.binary("promtool"),
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            tmp_path / "week.txt",
            data,
        ],
        check=True,
        capture_output=True,
    )
    with servers.prometheus("scrape_configs: []\n", tmp_path) as server:
        stack = open_stack(topology(spec(locale="en"), tmp_path))
        told = report_of(stack, datetime.now(UTC), server=Prometheus(server.url)).to_json()["sections"]
    assert told["refused"]["budget"]["budget_exhausted"] in {30, 31}
    (alert,) = told["alerts"]["alerts"]
    assert (alert["alert"], alert["times"]) == ("AppDown", 2)
    # 12 minutes each, and five after the last sample of each, where no staleness marker was imported.
    assert alert["minutes"] == pytest.approx(33, abs=2)
    assert told["down"]["minutes"] == {"app": pytest.approx(5.2, abs=0.2)}
    assert told["down"]["unmeasured_minutes"] > 6 * 1440
