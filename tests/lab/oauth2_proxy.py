"""What oauth2-proxy answers nginx, by its documentation (v7, "Configuring for use with the Nginx auth_request
directive", and "Endpoints"): 202, 401 or, for who may not, 403 on /oauth2/auth, by its cookie alone, with
the user's names in headers as `--set-xauthrequest` has them. No body is taken. Its sign-in form holds the
`rd` to come back to, which it takes from the query: the first one of that name, and "/" for one that leads
to another server.
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

COOKIE = "_oauth2_proxy"
_OWN = re.compile(r"/(?![/\\\s])")
"""`IsValidRedirect` in its redirect validator: one slash, and neither another nor a backslash after it."""


@contextmanager
def oauth2_proxy(
    sessions: Mapping[str, Mapping[str, str]], port: int = 0
) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Its port, and the headers of each request. `sessions`: the answer's headers by cookie."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            path = self.path.partition("?")[0]
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
            session = sessions.get(cookie.value) if cookie is not None else None
            if self.headers.get("Content-Length", "0") not in {"", "0"}:
                self._answer(400, {})
            elif path == "/oauth2/auth":
                refused = session is not None and not session
                self._answer(401 if session is None else 403 if refused else 202, session or {})
            elif path == "/oauth2/sign_in":
                asked = parse_qs(self.path.partition("?")[2]).get("rd", ["/"])[0]
                back = html.escape(asked if _OWN.match(asked) else "/")
                form = f'<form action="/oauth2/start"><input name="rd" value="{back}">Sign in</form>'
                self._answer(200, {"Content-Type": "text/html"}, form.encode())
            elif path == "/oauth2/start":
                self._answer(302, {"Location": "https://login.example/authorize"})
            else:
                self._answer(404, {})

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The test tells what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
