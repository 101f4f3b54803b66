"""A mail server that takes what RFC 5321 lets it take, and reads it as RFC 5322 and MIME want it."""

from __future__ import annotations

import email
import re
import socketserver
import threading
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
def mail_server() -> Iterator[Mailbox]:
    """A mail server on a free port."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 mail.example ESMTP")
            while line := self.rfile.readline(2048):
                word = line[:4].upper()
                if word in {b"EHLO", b"HELO"}:
                    self.say("250 mail.example")
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
