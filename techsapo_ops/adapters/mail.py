"""One message handed to a mail server, within a time that covers the whole conversation."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass
from email.message import EmailMessage

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.adapters.tls_trust import stays_here
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_IMPLICIT_TLS = 465
"""There TLS comes first (RFC 8314, 3.3); on other ports by STARTTLS."""
_OWN_NAME = "localhost"
"""As Alertmanager says it: asking DNS for a better one may take longer than the conversation."""
_DETAIL = 150
_LOGIN = msg("look at username, and password or password_file, of notifications.smtp")


class MailError(OpsError):
    """The server did not take the message; with `perhaps` it may have."""

    def __init__(self, reason: str, hint: str = "", *, perhaps: bool = False) -> None:
        super().__init__(reason, hint)
        self.perhaps = perhaps


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. Without `require_tls` it goes as plain text, but a password never does."""

    address: Address
    require_tls: bool = True
    username: str | None = None
    password: str = ""

    def __repr__(self) -> str:
        return f"MailServer({self.address})"

    def send(self, message: EmailMessage, *, timeout: float) -> None:
        """Hand `message` in, within `timeout` seconds. Raises MailError, which never holds the password."""
        handed_over = False
        with Deadline(timeout) as deadline:
            try:
                connection = _Watched(self.address, deadline)
                with contextlib.closing(connection):
                    _protect(connection, self)
                    handed_over = True
                    refused = connection.send_message(message)
                    handed_over = False
                    with contextlib.suppress(OSError, smtplib.SMTPException):  # it has the message by now
                        connection.quit()
            except (smtplib.SMTPException, OSError, ValueError) as error:
                # Cut off in the middle, nobody knows how far it came; an answer is an answer.
                perhaps = handed_over and not isinstance(error, _ANSWERS)
                reason = (
                    msg("no answer within {timeout:g} s", timeout=timeout)
                    if deadline.expired
                    else _reason(error, self)
                )
                hint = _LOGIN if isinstance(error, smtplib.SMTPAuthenticationError) else ""
                raise MailError(
                    msg("{address}: {reason}", address=self.address, reason=reason), hint, perhaps=perhaps
                ) from None
        if refused:
            raise MailError(
                msg(
                    "{address}: did not take {map}",
                    address=self.address,
                    map=", ".join(map(harmless, refused)),
                ),
                perhaps=True,
            )


_LOGGED_IN = (235, 503)
"""Also where the server knows who it is already (RFC 4954, 4)."""
_ANSWERS = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError)


class _Watched(smtplib.SMTP):
    """A connection that is cut when the time is over, whatever trickles in."""

    def __init__(self, address: Address, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(address.host, address.port, _OWN_NAME, timeout=deadline.left)

    # smtplib's own way to TLS from the start, SMTP_SSL, replaces this method as well.
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002 - the time left is the deadline's
        connection = self._deadline.connect(host, port)
        if port != _IMPLICIT_TLS:
            return connection
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _protect(connection: smtplib.SMTP, server: MailServer) -> None:
    connection.ehlo_or_helo_if_needed()
    secure = server.address.port == _IMPLICIT_TLS
    if server.require_tls and not secure:
        if not connection.has_extn("starttls"):
            raise MailError(
                msg("{address}: offers no STARTTLS", address=server.address),
                msg("`require_tls: false` sends without, readable on the way"),
            )
        connection.starttls(context=ssl.create_default_context())
        connection.ehlo()
        secure = True
    if server.username is not None:
        if not secure and not stays_here(server.address.host):
            raise MailError(
                msg("{address}: a password would leave this host unencrypted", address=server.address)
            )
        _login(connection, server.username, server.password)


def _login(connection: smtplib.SMTP, username: str, password: str) -> None:
    if (username + password).isascii():
        connection.login(username, password)
        return
    # smtplib knows ASCII alone, and its error would show a sign of the password. RFC 4616 says UTF-8.
    if "PLAIN" not in connection.esmtp_features.get("auth", "").upper().split():
        raise MailError(msg("the mail server takes no login with other letters than those of ASCII"))
    code, said = connection.docmd("AUTH", f"PLAIN {_plain(username, password)}")
    if code not in _LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, said)


def _plain(username: str, password: str) -> str:
    return b64encode(f"\0{username}\0{password}".encode()).decode()


def _reason(error: Exception, server: MailServer) -> str:
    told = _told(error)
    if server.password:  # some servers repeat what they were sent
        for secret in (server.password, b64encode(server.password.encode()).decode().rstrip("="),
                       _plain(server.username or "", server.password).rstrip("=")):  # fmt: skip
            told = told.replace(secret, "…")
    return told


def _told(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = [_said(code, said) for code, said in error.recipients.values()]
        return (
            msg("takes none of the addresses: {answers}", answers=answers[0])
            if answers
            else msg("takes none of the addresses")
        )
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error.smtp_code, error.smtp_error)
    return os_reason(error) or " ".join(harmless(str(error)).split())[:_DETAIL] or type(error).__name__


def _said(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(harmless(text).split())[:_DETAIL]}"
