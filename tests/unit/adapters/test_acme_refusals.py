"""What an ACME server on the loopback refuses, as the errors that the door makes of it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.acme import AcmeError, AcmeServer
from techsapo_ops.adapters.acme_messages import Binding
from techsapo_ops.certs.account import Account, AcmeCa
from techsapo_ops.certs.material import key_pem, new_key

PROBLEM = "urn:ietf:params:acme:error:"


@contextmanager
def refusing(
    status: int, body: bytes, *, binds: bool = False, asked: list[bytes] | None = None
) -> Iterator[AcmeServer]:
    """A server with a directory and nonces, which answers every request for an order or an account so.

    `binds` says in the directory that accounts must be bound; `asked` gets what is posted.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            names = ("newNonce", "newAccount", "newOrder", "revokeCert", "renewalInfo")
            directory: dict[str, Any] = {name: f"{here}/{name}" for name in names}
            directory["meta"] = {"externalAccountRequired": binds}
            self._say(200, json.dumps(directory).encode())

        def do_HEAD(self) -> None:
            self._say(200, b"")

        def do_POST(self) -> None:
            posted = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append(posted)
            self._say(status, body)

        def _say(self, code: int, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Replay-Nonce", "bm9uY2U")
            self.send_header("Retry-After", "60")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        made = AcmeServer(f"http://127.0.0.1:{server.server_port}/dir", key_pem(new_key()))
        made.use("http://127.0.0.1/account/1")
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused(ask: Callable[[], object]) -> AcmeError:
    with pytest.raises(AcmeError) as found:
        ask()
    return found.value


@each_row("status, code", [(409, "alreadyReplaced"), (400, "malformed"), (500, "serverInternal")])
def test_a_refusal_keeps_the_ca_s_code_and_words_whatever_the_status(status: int, code: str) -> None:
    problem = {"type": PROBLEM + code, "detail": "the certificate has an order already"}
    with refusing(status, json.dumps(problem).encode()) as server:
        error = refused(lambda: server.new_order(["example.com"], "abc.def"))
    assert error.code == code
    assert f"the certificate has an order already ({code})" in error.message
    assert error.retry_at is not None


@each_row("body", [b"<h1>Sorry</h1>", b""])
@each_row(
    "status, words",
    [
        (409, "does not answer as an ACME server: 409 without a problem"),
        (503, "is in trouble: 503 Service Unavailable"),
        (404, "does not answer as an ACME server"),
    ],
)
def test_an_answer_without_a_problem_is_told_by_its_status(status: int, words: str, body: bytes) -> None:
    with refusing(status, body) as server:
        error = refused(lambda: server.new_order(["example.com"]))
    assert words in error.message
    assert error.code == ""
    assert (error.retry_at is not None) == (status == 503)


BINDING = Binding("kid-1", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA")
MISSING = "set certificates.site.eab_key_id and certificates.site.eab_hmac_key_file"
WRONG = "compare certificates.site.eab_key_id and its HMAC key"


@each_row(
    "code, binds, binding, hint",
    [
        ("externalAccountRequired", True, None, MISSING),
        ("externalAccountRequired", False, None, MISSING),
        ("malformed", True, None, MISSING),
        ("malformed", False, None, "check `directory` in the spec"),
        ("unauthorized", True, BINDING, WRONG),
        ("invalidContact", True, BINDING, "look at `contact`"),
        ("serverInternal", True, None, "try later"),
    ],
)
def test_a_binding_that_is_missing_or_wrong_is_told_by_its_place_in_the_spec(
    tmp_path: Path, code: str, binds: bool, binding: Binding | None, hint: str
) -> None:
    problem = json.dumps({"type": PROBLEM + code, "detail": "not like this"}).encode()
    with refusing(400, problem, binds=binds) as server:
        account = Account(
            tmp_path, AcmeCa(server.directory, binding=binding), None, spec_path="certificates.site"
        )
        error = refused(lambda: account.ask(lambda asked: asked.order("")))
    assert f"not like this ({code})" in error.message
    assert hint in error.hint
    assert error.code == code


def test_a_binding_shows_the_account_s_public_key_alone(tmp_path: Path) -> None:
    def part(of: dict[str, Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(of[name] + "=="))
        return found

    asked: list[bytes] = []
    with refusing(400, json.dumps({"type": PROBLEM + "malformed"}).encode(), asked=asked) as server:
        refused(lambda: server.register(None, BINDING))
        directory = server.directory
    outer = json.loads(asked[0])
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
        Account(tmp_path, AcmeCa("https://ca.example/dir", binding=binding), None).folder
        for binding in (None, BINDING)
    )
    assert first != second
