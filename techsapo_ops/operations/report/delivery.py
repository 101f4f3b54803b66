"""How a report reaches one receiver: by techsapo itself, not through Alertmanager (decision 57).

What goes wrong is told without the receiver's URL, which is a secret, and without more of its answer than a
word such as Slack's `no_service`: pages of errors repeat what was asked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr
from hashlib import sha256

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.adapters.mail import MailError, MailServer
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.report.report import Report
from techsapo_ops.spec.models.notifications import EmailReceiver, SlackReceiver, Smtp, WebhookReceiver

SECONDS = 20.0
"""The most that one receiver may take."""
_WORD = re.compile(r"[a-z][a-z_]{1,40}")
_GATEWAYS = {502, 504}
"""Who answers so may have handed it on before."""


class NotDelivered(OpsError):
    """The receiver did not take the report; with `perhaps` it may have."""

    def __init__(self, reason: str, hint: str = "", *, perhaps: bool = False) -> None:
        super().__init__(reason, hint)
        self.perhaps = perhaps


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver, with its path in the spec; `smtp` is the mail server."""

    path: str
    receiver: SlackReceiver | EmailReceiver | WebhookReceiver
    smtp: Smtp | None = None

    @property
    def key(self) -> str:
        """What tells it from others, and no secret: the same when the spec's order changes."""
        match self.receiver:
            case EmailReceiver(to=to):
                where = to
            case SlackReceiver() as slack:
                where = f"{_url(self)} {slack.channel or ''}"
            case WebhookReceiver():
                where = _url(self)
        return f"{self.receiver.kind}:{sha256(where.encode()).hexdigest()[:16]}"

    def __str__(self) -> str:
        return f"notifications.{self.path} ({self.receiver.kind})"


def deliver(target: Target, report: Report, *, timeout: float = SECONDS) -> None:
    """Hand `report` to its receiver. Raises NotDelivered."""
    match target.receiver:
        case SlackReceiver() as slack:
            # No markup, and no call to anybody: names in it are others'. Slack wants three signs escaped.
            message: dict[str, object] = {"text": _escaped(report.text), "mrkdwn": False}
            if slack.channel is not None:
                message["channel"] = slack.channel
            _post(target, message, timeout)
        case WebhookReceiver():
            _post(target, {"kind": "techsapo.report", **report.to_json()}, timeout)
        case EmailReceiver() as mail:
            _mail(target, mail, report, timeout)


def _post(target: Target, document: dict[str, object], timeout: float) -> None:
    url = _url(target)
    body = json.dumps(document, ensure_ascii=False).encode()
    try:
        answer = send(url, body, timeout=timeout, headers={"Content-Type": "application/json"})
    except Unreachable as error:
        raise NotDelivered(error.reason.replace(url, "the URL"), perhaps=error.connected) from None
    except OpsError as error:
        raise NotDelivered(error.message.replace(url, "the URL")) from None
    if answer.ok:
        return
    word = f" {found[0]}" if (found := _WORD.fullmatch(answer.text.strip())) else ""
    raise NotDelivered(
        msg("answered HTTP {status}{word}", status=answer.status, word=word),
        msg("look at url or url_file of notifications.{path}", path=target.path)
        if 400 <= answer.status < 500
        else "",
        perhaps=answer.status in _GATEWAYS,
    )


def _mail(target: Target, mail: EmailReceiver, report: Report, timeout: float) -> None:
    smtp = target.smtp
    if smtp is None:
        raise NotDelivered(msg("e-mail needs a mail server"), msg("add notifications.smtp"))
    host, _, port = smtp.smarthost.rpartition(":")
    server = MailServer(
        Address(host.strip("[]"), int(port)),
        smtp.require_tls,
        smtp.username,
        smtp.password.reveal() if smtp.password is not None else "",
    )
    try:
        server.send(_message(smtp.sender, mail.to, report), timeout=timeout)
    except MailError as error:
        raise NotDelivered(error.message, error.hint, perhaps=error.perhaps) from None


def _message(sender: str, to: str, report: Report) -> EmailMessage:
    message = EmailMessage()
    try:
        message["From"] = _addresses(sender)
        message["To"] = _addresses(to)
    except (ValueError, IndexError) as error:
        raise NotDelivered(
            msg("an address can't be used: {error}", error=error), msg("write e.g. Ops <ops@example.com>")
        ) from None
    message["Subject"] = report.title
    message["Date"] = format_datetime(report.made)
    # Of one week and one address always the same, so that a mailbox can tell it from another.
    digest = sha256(f"{report.project} {report.week} {to}".encode()).hexdigest()[:24]
    message["Message-ID"] = f"<{digest}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    message.set_content(report.page + "\n", cte="base64")
    return message


def _addresses(text: str) -> tuple[MailAddress, ...]:
    found = [MailAddress(name, addr_spec=spec) for name, spec in getaddresses([text]) if spec]
    if not found:
        raise ValueError(msg("{text} names nobody", text=repr(text)))
    return tuple(found)


def _url(target: Target) -> str:
    url = getattr(target.receiver, "url", None)
    return url.reveal().strip() if url is not None else ""


def _escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
