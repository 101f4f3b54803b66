"""People who signed in by a proxy such as oauth2-proxy: nginx lets them in, and it alone is believed.

The proxy is a strict stand-in; nginx, app and `techsapo up` are real.
"""

from __future__ import annotations

import html
import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from oauth2_proxy import COOKIE, oauth2_proxy
from orchestrator import QUICK
from projects import Project, only_redis, project
from rows import each_row
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

SECRET = "f" * 20 + "0123456789abcdef0123456789ab"
ALICE = {"X-Auth-Request-User": "10987", "X-Auth-Request-Email": "alice@example.com"}
BOB = {"X-Auth-Request-User": "bob"}
ODD = {"X-Auth-Request-User": "Jos\u00e9 Garc\u00eda (DBA)"}
FORGED = {"X-Techsapo-User": "root", "X-Techsapo-Sign-In": "x" * 48, "X-Auth-Request-User": "root"}


SESSIONS: dict[str, dict[str, str]] = {"a": ALICE, "b": BOB, "c": ODD, "refused": {}}


class Proxy:
    """The stand-in, at one port for as often as it is opened."""

    def __init__(self) -> None:
        self.port = free_port()
        self.seen: list[dict[str, str]] = []
        self._running = ExitStack()

    def open(self) -> None:
        self.seen = self._running.enter_context(oauth2_proxy(SESSIONS, self.port))[1]

    def close(self) -> None:
        self._running.close()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """In its place somebody who takes connections and says nothing."""
        self.close()
        with socket.create_server(("127.0.0.1", self.port)):
            yield
        self.open()


@dataclass(frozen=True, slots=True)
class Stack:
    made: Project
    proxy: Proxy

    @property
    def seen(self) -> list[dict[str, str]]:
        return self.proxy.seen

    @property
    def nginx(self) -> str:
        return f"http://127.0.0.1:{self.made.spec['nginx']['listen']}"

    @property
    def app(self) -> str:
        return f"http://127.0.0.1:{self.made.spec['app']['port']}"

    def ask(self, base: str, prompt: str, **headers: str) -> httpx.Response:
        return httpx.post(f"{base}/api/v1/generate", json={"prompt": prompt}, headers=headers, timeout=60)

    def asker(self, answer: httpx.Response) -> Any:
        """Who is in the audit log as having asked."""
        assert answer.status_code == 200, answer.text
        (file,) = (self.made.state / "data").glob("app*/audit.sqlite")
        found: list[Any] = []

        def written() -> bool:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
                rows = connection.execute(
                    "select user_id from audit_requests where request_id = ?", (answer.json()["request_id"],)
                )
                found.extend(rows)
            return bool(found)

        wait_for(written, what="the audit row")
        return found[0][0]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    proxy = Proxy()
    proxy.open()
    try:
        spec = only_redis(providers=QUICK)
        spec["nginx"]["enabled"] = True
        address = f"http://127.0.0.1:{proxy.port}"
        spec["app"]["auth"] = {"required": False, "sign_in": {"address": address, "secret": SECRET}}
        with project(spec) as made:
            made.run("up", "--yes")
            yield Stack(made, proxy)
    finally:
        proxy.close()


def signed_in(session: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={session}"}


HOSTILE = {
    "/ask?x=1": "/ask?x=1",
    "/ask?a=1&rd=https://evil.example/&b=%26%2F": "/ask?a=1&rd=https://evil.example/&b=%26%2F",
    "/ask?rd=//evil.example&skip=1#x": "/ask?rd=//evil.example&skip=1",
    "//evil.example/x": "/",
    "/%5Cevil.example": "/%5Cevil.example",
    "/\\evil.example": "/",
    "/a%0d%0aSet-Cookie:x=1": "/a%0d%0aSet-Cookie:x=1",
    "/?" + "é%20&".replace("é", "%C3%A9") * 700: "/",
}


@each_row("asked", HOSTILE)
def test_a_page_leads_to_the_sign_in_and_back_whatever_is_in_its_address(stack: Stack, asked: str) -> None:
    # httpx would tidy the address up; a browser's address bar does not.
    with socket.create_connection(("127.0.0.1", stack.made.spec["nginx"]["listen"])) as connection:
        request = f"GET {asked.partition('#')[0]} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        head = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 302 "), head
    assert "\r\nSet-Cookie" not in head
    (location,) = re.findall(r"(?im)^location: (\S+)\r?$", head)
    parts = urlsplit(location)
    assert (parts.netloc, parts.path) == ("", "/oauth2/sign_in")
    assert parse_qs(parts.query, strict_parsing=True) == {"rd": [HOSTILE[asked]]}
    form = httpx.get(f"{stack.nginx}{location}", timeout=60).text
    assert f'name="rd" value="{html.escape(HOSTILE[asked])}"' in form


def test_a_session_opens_the_page(stack: Stack) -> None:
    assert httpx.get(f"{stack.nginx}/", headers=signed_in("a"), timeout=60).status_code == 200


@each_row("path", ["/api/v1/status", "/v1/models", "/api/v1/metrics/stream", "/metrics"])
def test_a_program_that_did_not_sign_in_is_told_so_in_its_language(stack: Stack, path: str) -> None:
    answer = httpx.get(f"{stack.nginx}{path}", headers=FORGED, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in")
    assert httpx.get(f"{stack.nginx}/oauth2/auth", headers=signed_in("a"), timeout=60).status_code == 404


def test_probes_need_no_sign_in(stack: Stack) -> None:
    assert [httpx.get(f"{stack.nginx}{path}", timeout=60).status_code for path in ("/ping", "/health")] == [
        200,
        200,
    ]


def test_who_signed_in_is_who_asked(stack: Stack) -> None:
    for session, name in (("a", "alice@example.com"), ("b", "bob")):
        answer = stack.ask(stack.nginx, f"disk full {name}", **signed_in(session), **FORGED)
        assert stack.asker(answer) == name


def test_another_program_of_the_host_can_not_say_who_signed_in(stack: Stack) -> None:
    claim = {"X-User-ID": "alice@example.com"}
    assert stack.asker(stack.ask(stack.app, "who am I", **FORGED, **claim)) is None


def test_an_nginx_that_does_not_ask_who_signed_in_lets_nobody_in(stack: Stack) -> None:
    """Such as one with a template of before, or a proxy of one's own."""
    answer = stack.ask(stack.app, "x", **{"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in")


def test_a_name_that_the_audit_log_can_not_hold_is_not_left_to_the_client(stack: Stack) -> None:
    answer = stack.ask(stack.nginx, "who am I too", **signed_in("c"), **{"X-User-ID": "root"})
    assert stack.asker(answer) == "Jos__Garc_a__DBA_.d716a61d"


def test_neither_the_proxy_nor_a_log_or_file_that_others_read_gets_the_secret(stack: Stack) -> None:
    stack.ask(stack.nginx, "disk full", **signed_in("a"))
    assert SECRET not in json.dumps(stack.seen)
    for file in stack.made.state.rglob("*"):
        if file.is_file() and not file.is_symlink() and SECRET.encode() in file.read_bytes():
            assert file.stat().st_mode & 0o077 == 0, file


def test_without_a_key_a_bearer_of_anything_still_has_to_sign_in(stack: Stack) -> None:
    assert stack.ask(stack.nginx, "x", Authorization="Bearer anything").status_code == 401


def test_with_keys_required_a_key_opens_the_api_and_is_judged_by_the_app(stack: Stack) -> None:
    auth = {**stack.made.spec["app"]["auth"], "required": True}
    stack.made.write(app={**stack.made.spec["app"], "auth": auth})
    stack.made.run("up", "--yes")
    made = json.loads(stack.made.run("keys", "create", "ci", "--json").stdout)
    wait_for(
        lambda: (
            stack.ask(stack.nginx, "with a key", Authorization=f"Bearer {made['key']}").status_code == 200
        ),
        what="the key to open the API",
    )
    assert stack.asker(stack.ask(stack.nginx, "key", Authorization=f"Bearer {made['key']}")) == "ci"
    both = {"Authorization": f"Bearer {made['key']}", **signed_in("a")}
    refused = stack.ask(stack.nginx, "x", Authorization="Bearer anything")
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert stack.asker(stack.ask(stack.nginx, "both", **both)) == "ci", (
        "a key is not asked about at the sign-in"
    )


KEYS = ({"X-API-Key": "junk"}, {"Authorization": "Bearer junk"})
PAGES = (
    "/",
    "/status",
    "/docs",
    "/runbooks/AppDown",
    "/alerts/AppDown/acknowledge",
)


@each_row("key", KEYS)
def test_a_key_opens_no_page_and_is_judged_where_the_app_checks_keys(
    stack: Stack, key: dict[str, str]
) -> None:
    """Keys are required since the test before."""
    for page in (*PAGES, "/api/../status", "/metrics/..//status", "/api/%2e%2e/status", "/openapi.json"):
        answer = httpx.get(f"{stack.nginx}{page}", headers=key, timeout=60)
        assert answer.status_code == (401 if page == "/openapi.json" else 302), page
    form = httpx.post(
        f"{stack.nginx}/alerts/AppDown/acknowledge", data={"by": "mallory"}, headers=key, timeout=60
    )
    assert form.status_code == 302
    for keyed in ("/api/v1/status", "/api/v1/health", "/metrics", "/v1/models", "/api/v1/metrics/stream"):
        answer = httpx.get(f"{stack.nginx}{keyed}", headers=key, timeout=60)
        assert (answer.status_code, answer.json().get("code") or answer.json()["problem"]) == (
            401,
            "unauthorized",
        ), keyed


def test_at_the_apps_own_port_nobody_gets_a_page_or_a_form(stack: Stack) -> None:
    for page in PAGES:
        for headers in ({}, FORGED, *KEYS):
            answer = httpx.get(f"{stack.app}{page}", headers=headers, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (401, "sign_in"), page
    form = httpx.post(
        f"{stack.app}/alerts/AppDown/acknowledge", data={"by": "mallory"}, headers=FORGED, timeout=60
    )
    assert (form.status_code, form.json()["code"]) == (401, "sign_in")
    for path in ("/ping", "/health", "/metrics"):
        assert httpx.get(f"{stack.app}{path}", timeout=60).status_code == 200, path


def test_an_account_that_the_sign_in_proxy_refuses_is_told_so(stack: Stack) -> None:
    page = httpx.get(f"{stack.nginx}/status", headers=signed_in("refused"), timeout=60)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "このアカウントでは開けません" in page.text
    assert "This account may not open this page" in page.text
    assert "nginx" not in page.text
    program = httpx.get(f"{stack.nginx}/api/v1/status", headers=signed_in("refused"), timeout=60)
    assert (program.status_code, program.json()["code"]) == (403, "forbidden")


@pytest.mark.nightly  # by day `tests/unit/watch/test_parts.py` has one that hangs
def test_a_sign_in_proxy_that_hangs_is_no_healthy_one(stack: Stack) -> None:
    with stack.proxy.hung():
        (part,) = [p for p in stack.made.health()["probes"] if p["name"] == "sign-in"]
        assert part["status"] == "degraded"
        page = httpx.get(f"{stack.nginx}/status", headers=signed_in("a"), timeout=60)
        assert (page.status_code, "Sign-in is unavailable" in page.text) == (503, True)


def test_while_the_sign_in_proxy_is_down_users_get_a_page_that_says_so_and_health_reports_it(
    stack: Stack,
) -> None:
    def part() -> dict[str, str]:
        (found,) = [p for p in stack.made.health()["probes"] if p["name"] == "sign-in"]
        return found

    assert part()["status"] == "healthy"
    stack.proxy.close()
    try:
        for page in ("/status", "/oauth2/sign_in"):
            answer = httpx.get(f"{stack.nginx}{page}", headers=signed_in("a"), timeout=60)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "いまはサインインできません" in answer.text
            assert "Sign-in is unavailable" in answer.text
            assert "nginx" not in answer.text
        program = httpx.get(f"{stack.nginx}/api/v1/status", headers=signed_in("a"), timeout=60)
        assert (program.status_code, program.json()["code"]) == (503, "unreachable")
        assert httpx.get(f"{stack.nginx}/ping", timeout=60).status_code == 200
        stack.made.run("health", code=1)
        assert part()["status"] == "degraded"
        assert stack.made.spec["app"]["auth"]["sign_in"]["address"] in part()["detail"]
    finally:
        stack.proxy.open()
    assert httpx.get(f"{stack.nginx}/status", headers=signed_in("a"), timeout=60).status_code == 200
