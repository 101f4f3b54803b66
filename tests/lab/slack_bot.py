"""A stand-in for two methods of Slack's Web API that refuses what Slack refuses.

Sources, of 2026-12-02: https://docs.slack.dev/reference/methods/chat.postMessage and chat.update (arguments,
errors), https://docs.slack.dev/apis/web-api (an error is HTTP 200 with `ok: false`, JSON bodies want a bearer
token), https://docs.slack.dev/apis/web-api/rate-limits (429 with Retry-After),
https://docs.slack.dev/messaging/formatting-message-text (escaping).
Slack passes over arguments that it does not know; here these are refused, as is markup that is not escaped.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "xoxb-lab"
CHANNEL = "C0123456789"
LONGEST = 40_000
_ARGUMENTS = {
    "chat.postMessage": {"channel", "text", "parse", "mrkdwn", "unfurl_links", "unfurl_media"},
    "chat.update": {"channel", "text", "parse", "ts"},
}
_MARKUP = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")
_LINK = re.compile(r"\n<https?://[^<>|\s]+>\Z")
"""The one link of a message, at its end."""


class _Error(Exception):
    """What Slack answers as `error`."""


@dataclass
class Bot:
    """The workspace: what stands in the channel by `ts`, each text that stood there, and what was refused."""

    url: str = ""
    channel: dict[str, str] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    limited: bool = False

    def answer(self, method: str, authorization: str, kind: str, body: bytes) -> dict[str, Any]:
        """What the method answers. Raises _Error."""
        if method not in _ARGUMENTS:
            raise _Error("unknown_method")
        if kind != "application/json; charset=utf-8":
            raise _Error("missing_charset" if kind == "application/json" else "invalid_post_type")
        if authorization != f"Bearer {TOKEN}":
            raise _Error("invalid_auth" if authorization else "not_authed")
        try:
            given = json.loads(body)
        except ValueError:
            raise _Error("invalid_json") from None
        if not isinstance(given, dict) or set(given) - _ARGUMENTS[method]:
            raise _Error("invalid_arguments")
        text, ts = given.get("text"), given.get("ts")
        if given.get("channel") != CHANNEL:
            raise _Error("channel_not_found")
        if not text:
            raise _Error("no_text")
        if len(text) > LONGEST:
            raise _Error("msg_too_long")
        if _MARKUP.search(_LINK.sub("", text)) or given.get("parse") != "none":
            raise _Error("markup that is not ours")
        if method == "chat.postMessage":
            if given.get("mrkdwn") is not False:
                raise _Error("names in it would be read as markup")
            ts = f"{1503435956 + len(self.channel)}.000247"
        elif ts not in self.channel:
            raise _Error("message_not_found")
        assert isinstance(ts, str)
        plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        self.channel[ts] = plain
        self.history.append((method, plain))
        return {"ok": True, "channel": CHANNEL, "ts": ts, "message": {"text": text}}


@contextmanager
def slack_api() -> Iterator[Bot]:
    """The API on a free port."""
    bot = Bot()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 200, {}
            method = self.path.removeprefix("/api/")
            try:
                kind, authorization = (
                    self.headers.get(name, "") for name in ("Content-Type", "Authorization")
                )
                answer = bot.answer(method, authorization, kind, body)
                if bot.limited:
                    status, answer = 429, {"ok": False, "error": "ratelimited"}
            except _Error as error:
                bot.refused.append(str(error))
                answer = {"ok": False, "error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "30")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bot.url = f"http://127.0.0.1:{server.server_port}/api"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield bot
    finally:
        server.shutdown()
        server.server_close()
