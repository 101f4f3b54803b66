"""A stand-in for Slack's incoming webhooks that refuses what Slack refuses, and unescaped markup.

Sources, of 2026-11-26: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (errors),
https://docs.slack.dev/messaging/formatting-message-text (escaping, links),
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments (keys, colours),
https://docs.slack.dev/changelog/2018-truncating-really-long-messages (40,000 characters).
Slack passes over keys that it does not know, and shows an empty field as one: here these are refused.
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

PATH = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
LONGEST = 40_000
MOST = 100
_MESSAGE = {"text", "attachments", "channel", "username", "icon_emoji", "icon_url", "link_names", "mrkdwn"}
_ATTACHMENT = {
    "fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title", "title_link",
    "text", "fields", "image_url", "thumb_url", "footer", "footer_icon", "ts", "mrkdwn_in",
    "callback_id", "actions",
}  # fmt: skip
_LINK = re.compile(r"<(https?://[^<>|\s]+)(?:\|([^<>|\n]+))?>")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")


class Refused(Exception):
    """Why Slack answers with an error, and its status."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status = status


@dataclass(frozen=True)
class Message:
    """What arrived, as people see it: `links` are URL and label of those in the text."""

    title: str
    title_link: str
    text: str
    links: tuple[tuple[str, str], ...]
    fields: dict[str, str]
    color: str
    fallback: str
    length: int


@dataclass
class Slack:
    """The webhook, what it took and why it refused."""

    url: str = ""
    channels: frozenset[str] = frozenset({"#ops"})
    messages: list[Message] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def parsed(body: bytes, channels: frozenset[str]) -> Message:
    """The message in a POST's body. Raises Refused."""
    try:
        told = json.loads(body)
    except ValueError:
        raise Refused(400, "invalid_payload") from None
    if not isinstance(told, dict) or set(told) - _MESSAGE:
        raise Refused(400, "invalid_payload")
    if told.get("channel") and told["channel"] not in channels:
        raise Refused(404, "channel_not_found")
    if told.get("link_names"):
        raise Refused(400, "link_names would make @channel a call to everybody")
    attachments = told.get("attachments") or []
    if not told.get("text") and not attachments:
        raise Refused(400, "no_text")
    if len(attachments) > MOST:
        raise Refused(400, "too_many_attachments")
    if not attachments:
        return _text(told, len(body))
    (attachment,) = attachments
    return _attachment(attachment)


def _text(told: dict[str, Any], length: int) -> Message:
    if len(told["text"]) > LONGEST:
        raise Refused(400, "msg_too_long")
    if told.get("mrkdwn") is not False:
        raise Refused(400, "names in it would be read as markup")
    return Message("", "", _shown(told["text"]), (), {}, "", "", length)


def _attachment(told: dict[str, Any]) -> Message:
    if set(told) - _ATTACHMENT or not told.get("fallback") or not told.get("text"):
        raise Refused(400, f"invalid_attachments: {sorted(set(told) - _ATTACHMENT)}")
    if not re.fullmatch(r"good|warning|danger|#[0-9A-Fa-f]{6}", told.get("color", "")):
        raise Refused(400, f"invalid_attachments: color {told.get('color')}")
    if not re.fullmatch(r"(https?://[^<>|\s]+)?", told.get("title_link", "")):
        raise Refused(400, f"invalid_attachments: title_link {told['title_link']}")
    fields = told.get("fields") or []
    for each in fields:
        if not each.get("title", "").strip() or not each.get("value", "").strip():
            raise Refused(400, f"an empty field: {each}")
    length = len(json.dumps(told, ensure_ascii=False))
    if length > LONGEST:
        raise Refused(400, "msg_too_long")
    links = tuple((_plain(url), _plain(label)) for url, label in _LINK.findall(told["text"]))
    return Message(
        title=_shown(told["title"]),
        title_link=told.get("title_link", ""),
        text=_shown(told["text"]),
        links=links,
        fields={_shown(each["title"]): _shown(each["value"]) for each in fields},
        color=told["color"],
        fallback=_shown(told["fallback"]),
        length=length,
    )


def _shown(text: str) -> str:
    """`text` with links as their labels. Raises Refused for markup that somebody else brought in."""
    without = _LINK.sub(lambda link: link[2] or link[1], text)
    if re.search(r"[<>]", without) or _ENTITY.search(without):
        raise Refused(400, f"markup that is not ours: {without}")
    return _plain(without)


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@contextmanager
def incoming_webhook() -> Iterator[Slack]:
    """Slack on a free port."""
    slack = Slack()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != PATH:
                    raise Refused(404, "no_service")
                if self.headers.get_content_type() != "application/json":
                    raise Refused(400, "invalid_payload")
                slack.messages.append(parsed(body, slack.channels))
                status, word = 200, "ok"
            except Refused as error:
                status, word = error.status, str(error)
                slack.refused.append(word)
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(word.encode())))
            self.end_headers()
            self.wfile.write(word.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slack.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
