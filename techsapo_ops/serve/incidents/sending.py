"""Sends messages about incidents: by a Slack bot, which replaces the first by the next one, or by a webhook.

Slack's methods, of 2026-12-02: https://docs.slack.dev/reference/methods/chat.postMessage and chat.update
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from techsapo_ops.adapters.http import Answer, Unreachable, send
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.investigate import Investigate

SLACK = "https://slack.com/api"
TIMEOUT = 5.0
LONGEST = 3000
"""Characters of a message; Slack advises against more than 4,000."""
_CALLS = re.compile(r"(?<![A-Za-z0-9])@(?=\w)|\](?=\()")
"""With what Mattermost, which reads Markdown, calls people, and gives a link another name."""


class Messenger(Protocol):
    """Where messages go."""

    def send(self, text: str, before: str, link: str) -> str:
        """Send `text` and the URL `link` where there is one, in place of the message that is called `before`
        where that can be; what it is called.

        Blocks for TIMEOUT at most. Raises OpsError where it did not arrive, or may not have.
        """
        ...


@dataclass(frozen=True, slots=True)
class SlackBot:
    """A bot in a channel."""

    token: str
    channel: str
    address: str = SLACK

    def send(self, text: str, before: str, link: str) -> str:
        """See Messenger; its messages are called by their `ts`."""
        body = {"channel": self.channel, "text": _linked(text, link), "parse": "none"}
        if before:
            return self._called("chat.update", {**body, "ts": before})
        quiet = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        return self._called("chat.postMessage", {**body, **quiet})

    def _called(self, method: str, body: Mapping[str, object]) -> str:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json; charset=utf-8"}
        answer = _posted(f"{self.address}/{method}", body, headers)
        try:
            said: dict[str, Any] = json.loads(answer.body)
            if said["ok"] is True:
                return str(said["ts"])
            why = str(said["error"])
        except (ValueError, LookupError, TypeError):
            why = msg("HTTP {status}", status=answer.status)
        raise OpsError(msg("Slack refused the message: {why}", why=why[:100]))


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that takes `{"text": …}`, as incoming webhooks of Slack and Mattermost do."""

    url: str

    def send(self, text: str, before: str, link: str) -> str:  # noqa: ARG002 - it can't change what it sent
        """See Messenger; its messages are called nothing."""
        answer = _posted(self.url, {"text": _linked(text, link), "mrkdwn": False}, {})
        if not answer.ok:
            raise OpsError(msg("the webhook refused the message: HTTP {status}", status=answer.status))
        return ""


def messenger_of(settings: Investigate) -> Messenger | None:
    """What the spec names; None where it names nobody."""
    if settings.slack is not None:
        return SlackBot(settings.slack.token.reveal(), settings.slack.channel)
    return Webhook(settings.webhook.reveal()) if settings.webhook is not None else None


def escaped(text: str) -> str:
    """`text` as Slack and Mattermost show it, which calls nobody and gives no link another name."""
    apart = _CALLS.sub("\\g<0>\N{ZERO WIDTH SPACE}", text)
    return apart.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _linked(text: str, link: str) -> str:
    """`text` within LONGEST; `link`, which is ours, is the only one."""
    shown = escaped(text[:LONGEST])
    return f"{shown}\n<{link}>" if link else shown


def _posted(url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> Answer:
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    try:
        return send(url, content, timeout=TIMEOUT, headers={"Content-Type": "application/json", **headers})
    except Unreachable as error:  # the URL may be a secret
        raise OpsError(msg("the message may not have arrived: {reason}", reason=error.reason)) from None
