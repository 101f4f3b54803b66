"""A mail server that takes what RFC 5321 lets it take, and reads it as RFC 5322 and MIME want it."""

from __future__ import annotations

import email
import re
import socketserver
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP

_LONGEST_LINE = 998
"""Octets without the line's end (RFC 5321, 4.5.3.1.6)."""


@dataclass
class Mailbox:
    """What arrived, and why something was refused."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read(data: bytes) -> EmailMessage:
    """The message in `data`. Raises ValueError for what a strict server sends back."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", data):
        raise ValueError("a bare CR or LF")
    if any(len(line) > _LONGEST_LINE for line in data.split(b"\r\n")):
        raise ValueError("a line of more than 998 octets")
    head = data.partition(b"\r\n\r\n")[0]
    if not head.isascii():
        raise ValueError("a header that is not ASCII")
    message = email.message_from_bytes(data, _class=EmailMessage, policy=SMTP)
    defects = [d for part in message.walk() for d in part.defects]
    missing = {"From", "To", "Subject", "Date", "Message-Id"} - {name.title() for name in message}
    if defects or missing or len(message.get_all("Subject") or ()) != 1:
        raise ValueError(f"not a message of RFC 5322: {defects} {missing}")
    return message


@contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None,
    *,
    at_once: bool = False,
    login: tuple[str, str] | None = None,
    refusal: str = "535 5.7.8 Error: authentication failed",
) -> Iterator[Mailbox]:
    """A mail server on a free port; with `tls` it offers STARTTLS (RFC 3207) and takes nothing before it.

    With `at_once` TLS comes first (RFC 8314, 3.3). With `login` it offers AUTH PLAIN (RFC 4954), under TLS
    alone, and takes no message from anybody else; `refusal` is what it says of another password, where
    `{sent}` is what it was sent.
    """
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.secure, self.known = tls is None, login is None
            if at_once and tls is not None:
                try:
                    self.encrypt(tls)
                except OSError:  # who speaks plain text, or does not trust it
                    box.refused.append("no TLS")
                    return
            self.say("220 mail.example ESMTP")
            while line := self.rfile.readline(2048):
                word = line[:4].upper()
                if word == b"EHLO" and not self.secure:
                    self.say("250-mail.example")
                    self.say("250 STARTTLS")
                elif word in {b"EHLO", b"HELO"}:
                    if login is not None and word == b"EHLO":
                        self.say("250-mail.example")
                        self.say("250 AUTH PLAIN")
                    else:
                        self.say("250 mail.example")
                elif word == b"AUTH" and self.secure and not self.known:
                    self.log_in(line.decode().strip())
                elif word == b"STAR" and not self.secure and tls is not None:
                    self.say("220 go ahead")
                    self.encrypt(tls)
                elif word == b"MAIL" and not self.secure:
                    self.say("530 Must issue a STARTTLS command first")
                elif word == b"MAIL" and not self.known:
                    self.say("530 5.7.0 Authentication required")
                elif word in {b"MAIL", b"RCPT", b"RSET", b"NOOP"}:
                    self.say("250 OK")
                elif word == b"DATA":
                    self.say("354 go on")
                    self.take()
                elif word == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("502 not implemented")

        def encrypt(self, tls: ssl.SSLContext) -> None:
            self.connection = tls.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.secure = True

        def log_in(self, line: str) -> None:
            sent = line.removeprefix("AUTH PLAIN ")
            try:
                self.known = b64decode(sent, validate=True) == "\0".join(("", *(login or ()))).encode()
            except ValueError:
                self.say("501 5.5.2 Cannot decode")
                return
            if not self.known:
                box.refused.append("login")
            self.say("235 2.7.0 ok" if self.known else refusal.format(sent=sent))

        def take(self) -> None:
            lines = []
            while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                lines.append(line[1:] if line.startswith(b"..") else line)
            try:
                box.messages.append(read(b"".join(lines)))
            except ValueError as error:
                box.refused.append(str(error))
                self.say(f"554 {error}")
                return
            self.say("250 queued")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Session) as server:
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield box
        finally:
            server.shutdown()
