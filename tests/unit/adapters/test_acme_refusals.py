"""What an ACME server on the loopback refuses, as the errors that the door makes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.http_server import Asked, answering
from rows import each_row

from techsapo_ops.adapters.acme import AcmeError, AcmeServer, Binding, retry_at
from techsapo_ops.certs.authority import AcmeCa
from techsapo_ops.certs.material import key_pem, new_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = "urn:ietf:params:acme:error:"


@contextmanager
def refusing(*answers: tuple[int, bytes], asked: list[bytes] | None = None) -> Iterator[AcmeServer]:
    """A server with a directory and nonces, which gives what is posted these answers, the last one for ever.

    `asked` gets what is posted.
    """
    left = list(answers)
    names = ("newNonce", "newAccount", "newOrder", "revokeCert", "renewalInfo")

    def answer(request: Asked) -> tuple[int, bytes, dict[str, str]]:
        headers = {"Replay-Nonce": "bm9uY2U", "Retry-After": "60"}
        if request.method == "GET":
            directory = {name: f"http://{request.headers['Host']}/{name}" for name in names}
            return 200, json.dumps(directory).encode(), {**headers, "Content-Type": "application/json"}
        if request.method == "HEAD":
            return 200, b"", headers
        if asked is not None:
            asked.append(request.body)
        return *(left.pop(0) if len(left) > 1 else left[0]), headers

    with answering(answer) as server:
        yield AcmeServer(f"{server.url}/dir", key_pem(new_key()))


def refused(ask: Callable[[], object]) -> AcmeError:
    with pytest.raises(AcmeError) as found:
        ask()
    return found.value


def problem(code: str, detail: str = "not like this", **more: object) -> bytes:
    return json.dumps({"type": PROBLEM + code, "detail": detail, **more}).encode()


UNKNOWN = (400, problem("accountDoesNotExist"))


@each_row(
    "status, body, words, code",
    [
        (400, problem("malformed"), "not like this (malformed)", "malformed"),
        (500, problem("serverInternal"), "not like this (serverInternal)", "serverInternal"),
        (403, problem("newCode"), "not like this (newCode)", "newCode"),
        (503, b"<h1>Sorry</h1>", "has a problem: 503 Service Unavailable", ""),
        (503, b"", "has a problem: 503 Service Unavailable", ""),
        (404, b"<h1>Sorry</h1>", "as an ACME server", ""),
    ],
)
def test_a_refusal_keeps_the_ca_s_code_and_words_and_one_without_is_told_by_its_status(
    status: int, body: bytes, words: str, code: str
) -> None:
    with refusing((status, body)) as server:
        error = refused(lambda: server.sign_in(None, None))
    assert words in error.message
    assert error.code == code
    assert (error.retry_at is not None) == (status != 404)


def test_sub_problems_are_told_by_name_and_a_rate_limit_says_until_when() -> None:
    parts = [
        {"type": "x", "identifier": {"type": "dns", "value": "a.example"}, "detail": "CAA forbids"},
        {"type": "x", "title": "Other"},
    ]
    with refusing((429, problem("rateLimited", "Some were refused", subproblems=parts))) as server:
        error = refused(lambda: server.sign_in(None, None))
    assert "Some were refused; a.example: CAA forbids; Other; try again at" in error.message
    assert "set `directory` to the CA's staging" in error.hint


BINDING = Binding("kid-1", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA")
MISSING = "set certificates.site.eab_key_id and certificates.site.eab_hmac_key_file"
WRONG = "compare certificates.site.eab_key_id and its HMAC key"


@each_row(
    "code, binding, hint",
    [
        ("externalAccountRequired", None, MISSING),
        ("malformed", None, "check `directory` in the spec"),
        ("unauthorized", BINDING, WRONG),
        ("unauthorized", None, "if the account was closed"),
        ("invalidContact", BINDING, "check `contact`"),
    ],
)
def test_a_binding_that_is_missing_or_wrong_is_told_by_its_place_in_the_spec(
    tmp_path: Path, code: str, binding: Binding | None, hint: str
) -> None:
    with refusing(UNKNOWN, (400, problem(code))) as server:
        ca = AcmeCa(server.directory, binding=binding)
        error = refused(lambda: ca.signed_in(tmp_path, None, "certificates.site"))
    assert f"not like this ({code})" in error.message
    assert hint in error.hint
    assert error.code == code


def test_a_binding_shows_the_account_s_public_key_alone() -> None:
    def part(of: dict[str, Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(of[name] + "=="))
        return found

    asked: list[bytes] = []
    with refusing(UNKNOWN, (400, problem("malformed")), asked=asked) as server:
        refused(lambda: server.sign_in(None, BINDING))
        directory = server.directory
    outer = json.loads(asked[1])
    bound = part(outer, "payload")["externalAccountBinding"]
    assert part(bound, "payload") == part(outer, "protected")["jwk"]
    assert part(bound, "payload").keys() == {"kty", "crv", "x", "y"}
    assert part(bound, "protected") == {
        "alg": "HS256",
        "kid": "kid-1",
        "url": directory.replace("/dir", "/newAccount"),
    }


def test_another_key_id_is_another_account(tmp_path: Path) -> None:
    first, second = (
        AcmeCa("https://ca.example/dir", binding=binding).folder(tmp_path) for binding in (None, BINDING)
    )
    assert first != second


@each_row(
    "header, at",
    [
        (None, None),
        ("120", NOW + timedelta(seconds=120)),
        ("Thu, 01 Jan 2026 01:00:00 GMT", NOW + timedelta(hours=1)),
        ("soon", None),
        ("9" * 30, NOW + timedelta(days=366)),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, at: datetime | None) -> None:
    assert retry_at(header, NOW) == at
