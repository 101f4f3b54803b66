"""The generated nginx.conf in a real nginx: balancing, failover, headers, streams, TLS, ACME."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from nginx_edge import Edge, edge
from rows import each_row
from servers import wait_for
from stacks import HOSTILE_FOLDER

from techsapo_ops.certs import self_signed
from techsapo_ops.stack.layout import ACME_ROOT

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One whose instances are all well; tests ask it and change nothing."""
    with edge(tmp_path_factory.mktemp("edge"), folder=HOSTILE_FOLDER) as running:
        yield running


def test_requests_are_shared_by_weight_and_the_backup_waits(nginx: Edge) -> None:
    served = Counter(nginx.who() for _ in range(50))
    first, second, backup = (b.port for b in nginx.backends)
    assert served[first] == pytest.approx(30, abs=6)
    assert served[second] == pytest.approx(20, abs=6)
    assert served[backup] == 0


def test_a_get_answered_503_goes_to_another_instance_and_a_post_is_not_repeated(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        nginx.backends[0].status = nginx.backends[1].status = 503
        assert {nginx.who() for _ in range(10)} == {nginx.backends[2].port}
        request = urllib.request.Request(f"http://127.0.0.1:{nginx.port}/", data=b"x", method="POST")
        before = sum(b.posts for b in nginx.backends)
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            error.close()
        assert sum(b.posts for b in nginx.backends) == before + 1


def post(nginx: Edge, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{nginx.port}{path}", data=b'{"prompt": "x"}', headers=headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


KEYED = {"Idempotency-Key": "k-1"}


@each_row("path", ["/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions"])
def test_a_post_is_sent_to_the_next_instance_where_it_carries_a_key(tmp_path: Path, path: str) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends[:2]:
            backend.dies = True
        status, told = post(nginx, path, KEYED)
        assert (status, told["port"]) == (200, nginx.backends[2].port)
        assert told["headers"]["X-Techsapo-Retried"] == "1"
        assert [b.bodies for b in nginx.backends] == [[b'{"prompt": "x"}']] * 3


def test_a_post_without_a_key_or_to_another_path_is_sent_once(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends:
            backend.dies = True
        for path, headers in (("/api/v1/generate", {}), ("/api/v1/other", KEYED)):
            before = sum(b.posts for b in nginx.backends)
            status, told = post(nginx, path, {**headers, "X-Techsapo-Retried": "1"})
            assert (status, told["code"]) == (502, "unreachable")
            assert sum(b.posts for b in nginx.backends) == before + 1
            time.sleep(0.1)


def test_while_keys_cant_be_kept_a_post_is_sent_once(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends:
            backend.sends_back = True
        status, told = post(nginx, "/api/v1/generate", KEYED)
        assert status == 200
        assert "X-Techsapo-Retried" not in told["headers"]
        assert [body for b in nginx.backends for body in b.bodies] == [b'{"prompt": "x"}'] * 2
        assert len({b.port for b in nginx.backends if b.posts}) <= 2


def test_a_stack_whose_instances_share_nothing_sends_no_post_twice(tmp_path: Path) -> None:
    with edge(tmp_path, redis={"enabled": False}) as nginx:
        for backend in nginx.backends:
            backend.dies = True
        assert post(nginx, "/api/v1/generate", KEYED)[0] == 502
        assert sum(b.posts for b in nginx.backends) == 1


def test_a_refusal_of_a_keyed_post_is_a_problem_too(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends:
            backend.stop()
        status, told = post(nginx, "/api/v1/generate", KEYED)
        assert (status, told["code"]) == (502, "unreachable")


def test_what_a_client_claims_about_itself_is_replaced(nginx: Edge) -> None:
    claims = {"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.66"}
    _, body, _ = nginx.get(headers=claims)
    got = json.loads(body)["headers"]
    assert got["X-Forwarded-For"] == got["X-Real-IP"] == "127.0.0.1"
    assert got["X-Forwarded-Proto"] == "http"
    assert got["X-Forwarded-Host"] == f"127.0.0.1:{nginx.port}", "as the browser named it"


@each_row(
    "sent, kept",
    [
        ("req_12345", True),
        ("x" * 128, True),
        ("a b", False),
        ("x" * 129, False),
        ("-1", False),
        ('"}', False),
    ],
)
def test_a_request_id_is_passed_on_and_made_up_where_it_is_none(nginx: Edge, sent: str, kept: bool) -> None:
    _, body, headers = nginx.get(headers={"X-Request-ID": sent})
    seen = json.loads(body)["headers"]["X-Request-ID"]
    assert (seen == sent) is kept
    assert seen
    assert headers["X-Request-ID"] == seen


def test_an_event_arrives_while_the_stream_is_still_open(nginx: Edge) -> None:
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=60) as client:
        client.sendall(b"GET /api/v1/metrics/stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        received = b""
        while b"data: first" not in received:
            chunk = client.recv(4096)
            assert chunk, received
            received += chunk
        assert b"data: second" not in received
    for backend in nginx.backends:
        backend.release.set()


def test_a_web_socket_is_upgraded(nginx: Edge) -> None:
    def ask(port: int, upgrade: str) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            head = f"GET /ws/metrics HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
            client.sendall(head.encode())
            return client.recv(4096)

    answer = ask(nginx.port, "websocket")
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"Upgrade: websocket" in answer


def test_a_body_that_is_too_large_is_refused_at_the_edge(nginx: Edge) -> None:
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=60) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        head, body = client.makefile("rb").read().split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413")
        assert b"Content-Type: application/problem+json" in head
        problem = json.loads(body)
        assert (problem["code"], problem["detail"]) == (
            "body_too_large",
            "the body is larger than 1048576 bytes",
        )
        assert f"X-Request-ID: {problem['request_id']}".encode() in head


def test_no_answer_from_the_app_is_a_problem_that_openai_s_clients_read_too(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends:
            backend.stop()
        status, body, _ = nginx.get("/v1/models")
        assert status == 502
        problem = json.loads(body)
        assert problem["code"] == problem["error"]["code"] == "unreachable"
        assert problem["error"]["message"] == problem["detail"]


def test_nothing_is_to_be_kept_but_what_the_app_says_may_be(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        assert nginx.get("/web/words.js")[2]["Cache-Control"] == "no-cache"
        said = {path: nginx.get(path)[2]["Cache-Control"] for path in ("/api/v1/status", "/nginx-health")}
        for backend in nginx.backends:
            backend.stop()
        said["502"] = nginx.get("/api/v1/status")[2]["Cache-Control"]
        assert set(said.values()) == {"no-store"}


def test_tls_serves_the_certificate_redirects_and_answers_acme_in_plain_http(tmp_path: Path) -> None:
    sections = {"certificates": {"site": {"names": ["techsapo.example.com"]}}, "nginx": {"hsts": True}}
    with edge(tmp_path, folder=HOSTILE_FOLDER, **sections) as nginx:
        (service,) = nginx.where.of_kind("nginx")
        challenge = nginx.where.data_dir(service) / ACME_ROOT / ".well-known/acme-challenge"
        challenge.mkdir(parents=True)
        for folder in (challenge, *list(challenge.parents)[:3]):
            folder.chmod(0o755)
        (challenge / "token").write_text("token.key")
        assert nginx.get("/.well-known/acme-challenge/token")[:2] == (200, b"token.key")
        assert nginx.get("/.well-known/acme-challenge/none")[0] == 404

        with socket.create_connection(("127.0.0.1", nginx.port), timeout=60) as plain:
            plain.sendall(b"POST /ask?q=1 HTTP/1.1\r\nHost: t.example\r\nContent-Length: 0\r\n\r\n")
            answer = plain.recv(4096).decode()
        assert answer.startswith("HTTP/1.1 308")
        assert f"Location: https://t.example:{nginx.tls_port}/ask?q=1\r\n" in answer

        trust = ssl.create_default_context(cafile=str(nginx.where.layout.certs / ".ca/ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", nginx.tls_port), timeout=60) as raw,
            trust.wrap_socket(raw, server_hostname="techsapo.example.com") as secure,
        ):
            assert secure.version() == "TLSv1.3"
            secure.sendall(b"GET / HTTP/1.1\r\nHost: techsapo.example.com\r\nConnection: close\r\n\r\n")
            page = b"".join(iter(lambda: secure.recv(4096), b"")).decode()
        assert page.startswith("HTTP/1.1 200")
        assert "Strict-Transport-Security: max-age=63072000" in page
        assert '"X-Forwarded-Proto": "https"' in page


def test_every_access_is_a_line_of_json_whatever_the_client_sends(nginx: Edge) -> None:
    nginx.get('/%22%7D%0A"', headers={"X-Request-ID": "req_1"})
    (service,) = nginx.where.of_kind("nginx")
    log = nginx.where.data_dir(service) / "server.log"

    def entries() -> list[dict[str, str]]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["requestId"] == "req_1"]

    wait_for(entries, what="access line")  # an error's line has the same id, and may be there before
    (entry,) = entries()
    assert entry["uri"] == '/"}\n"'
    assert entry["status"] == "200"
    assert time.strptime(entry["time"][:19], "%Y-%m-%dT%H:%M:%S")


def offered(port: int, *options: str) -> str:
    """What openssl's client says of a handshake; "" where there is none."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example.com", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,
    )
    return done.stdout if done.returncode == 0 else ""


SITE = {"site": {"names": ["a.example.com"]}}
INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
)


def test_the_handshake_is_that_of_mozilla_s_intermediate_profile(tmp_path: Path) -> None:
    with edge(tmp_path, certificates=SITE) as nginx:
        port = nginx.tls_port
        assert "TLSv1.3, Cipher is TLS_" in offered(port, "-tls1_3")
        for cipher in INTERMEDIATE:
            assert f"TLSv1.2, Cipher is {cipher}" in offered(port, "-tls1_2", "-cipher", cipher)
        weak = (
            "ALL:!ECDHE-ECDSA-AES128-GCM-SHA256:!ECDHE-ECDSA-AES256-GCM-SHA384:!ECDHE-ECDSA-CHACHA20-POLY1305"
        )
        assert offered(port, "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0") == ""
        for old in ("-tls1", "-tls1_1"):
            assert offered(port, old, "-cipher", "ALL:@SECLEVEL=0") == ""
        assert "ALPN protocol: h2" in offered(port, "-alpn", "h2,http/1.1")
        # The client's order decides, and sessions are kept by the server, not in tickets.
        for first in INTERMEDIATE[::-1]:
            order = ":".join((first, *INTERMEDIATE))
            assert f"Cipher is {first}" in offered(port, "-tls1_2", "-cipher", order)
        session = offered(port, "-tls1_2")
        assert re.search(r"Session-ID: [0-9A-F]{64}", session)
        assert "TLS session ticket" not in session
        kept = tmp_path / "session.pem"
        offered(port, "-tls1_2", "-sess_out", str(kept))
        assert "Reused, TLSv1.2" in offered(port, "-tls1_2", "-sess_in", str(kept))


def test_an_rsa_certificate_gets_the_rsa_suites_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_signed, "new_key", lambda: rsa.generate_private_key(65537, 2048))
    with edge(tmp_path, certificates={"site": {"names": ["a.example.com"]}}) as nginx:
        for cipher in INTERMEDIATE:
            wanted = cipher.replace("ECDSA", "RSA")
            assert f"TLSv1.2, Cipher is {wanted}" in offered(nginx.tls_port, "-tls1_2", "-cipher", wanted)


def test_hsts_is_a_choice_and_can_be_taken_back(tmp_path: Path) -> None:
    def header(port: int) -> str:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/nginx-health", context=trust) as answer:
            return str(answer.headers)

    with edge(tmp_path / "on", certificates=SITE, nginx={"hsts": True}) as nginx:
        shown = header(nginx.tls_port)
        assert "Strict-Transport-Security: max-age=63072000" in shown
        assert shown.count("Strict-Transport-Security") == 1
    with edge(tmp_path / "off", certificates=SITE, nginx={"hsts": False}) as nginx:
        assert "Strict-Transport-Security: max-age=0" in header(nginx.tls_port)


def asked(port: int, count: int, path: str = "/") -> list[bytes]:
    """The heads of the answers to that many requests at once, each on a connection of its own."""
    with ExitStack() as stack:
        links = []
        for _ in range(count):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            links.append(link)
        return [link.recv(65536) for link in links]


def test_one_address_has_so_many_streams_at_once_and_requests_beside_them(tmp_path: Path) -> None:
    with edge(tmp_path, app={"limits": {"client_connections": 2}}) as nginx:
        streams = asked(nginx.port, 3, "/api/v1/metrics/stream")
        refused = [head for head in streams if head.startswith(b"HTTP/1.1 429")]
        assert len(refused) == 1
        assert b"\r\nRetry-After: 1\r\n" in refused[0]
        assert nginx.get()[0] == 200, "streams are counted apart"
        for backend in nginx.backends:
            backend.release.set()


def test_a_flood_from_one_address_is_answered_429_in_the_shape_of_a_problem(tmp_path: Path) -> None:
    with edge(tmp_path, nginx={"client_rate": 5}) as nginx:
        heads = asked(nginx.port, 40)
        refused = [head for head in heads if head.startswith(b"HTTP/1.1 429")]
        assert 20 <= len(refused) <= 29, "10 pass beyond the rate"
        assert b"\r\nRetry-After: 1\r\n" in refused[0]
        problem = json.loads(refused[0].partition(b"\r\n\r\n")[2])
        assert (problem["status"], problem["code"]) == (429, "too_many_connections")
        assert problem["error"]["type"] == "rate_limit_error", "OpenAI's clients read it too"


def test_the_apps_own_429_keeps_its_own_retry_after(tmp_path: Path) -> None:
    with edge(tmp_path) as nginx:
        for backend in nginx.backends:
            backend.status = 429
        status, _, headers = nginx.get()
        assert status == 429
        assert "Retry-After" not in headers, "this app said none"


def test_headers_beyond_its_buffers_are_refused_by_their_own_status(nginx: Edge) -> None:
    status, body, _ = nginx.get(headers={"X-Long": "a" * 9000})
    assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
    assert nginx.get(headers={"X-Long": "a" * 7000})[0] == 200


def test_usual_use_of_many_people_behind_one_address_meets_no_limit(nginx: Edge) -> None:
    heads = [head for _ in range(40) for head in asked(nginx.port, 6)]
    assert Counter(head[9:12] for head in heads) == {b"200": 240}
