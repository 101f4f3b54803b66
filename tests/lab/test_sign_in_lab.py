"""People who signed in by a proxy such as oauth2-proxy: nginx lets them in, and it alone is believed.

The proxy is a strict stand-in; nginx, app and `techsapo up` are real.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from oauth2_proxy import COOKIE, oauth2_proxy
from orchestrator import QUICK
from projects import Project, only_redis, project
from servers import wait_for

pytestmark = pytest.mark.lab

SECRET = "f" * 20 + "0123456789abcdef0123456789ab"
ALICE = {"X-Auth-Request-User": "10987", "X-Auth-Request-Email": "alice@example.com"}
BOB = {"X-Auth-Request-User": "bob"}
ODD = {"X-Auth-Request-User": "Jos\u00e9 Garc\u00eda (DBA)"}
FORGED = {"X-Techsapo-User": "root", "X-Techsapo-Sign-In": "x" * 48, "X-Auth-Request-User": "root"}


@dataclass(frozen=True, slots=True)
class Stack:
    made: Project
    seen: list[dict[str, str]]

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
    with oauth2_proxy({"a": ALICE, "b": BOB, "c": ODD}) as (port, seen):
        spec = only_redis(providers=QUICK)
        spec["nginx"]["enabled"] = True
        address = f"http://127.0.0.1:{port}"
        spec["app"]["auth"] = {"required": False, "sign_in": {"address": address, "secret": SECRET}}
        with project(spec) as made:
            made.run("up", "--yes")
            yield Stack(made, seen)
            made.run("down", "--yes")


def signed_in(session: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={session}"}


def test_a_page_leads_to_the_sign_in_and_back(stack: Stack) -> None:
    answer = httpx.get(f"{stack.nginx}/ask?x=1")
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"{stack.nginx}/oauth2/sign_in?rd=/ask?x=1",
    )
    assert httpx.get(f"{stack.nginx}/oauth2/sign_in").text == "<form>Sign in</form>"
    assert httpx.get(f"{stack.nginx}/", headers=signed_in("a")).status_code in {200, 307, 308}


@pytest.mark.parametrize("path", ["/api/v1/status", "/v1/models", "/api/v1/metrics/stream", "/metrics"])
def test_a_program_that_did_not_sign_in_is_told_so_in_its_language(stack: Stack, path: str) -> None:
    answer = httpx.get(f"{stack.nginx}{path}", headers=FORGED)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in")
    assert httpx.get(f"{stack.nginx}/oauth2/auth", headers=signed_in("a")).status_code == 404


def test_probes_need_no_sign_in(stack: Stack) -> None:
    assert [httpx.get(f"{stack.nginx}{path}").status_code for path in ("/ping", "/health")] == [200, 200]


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
