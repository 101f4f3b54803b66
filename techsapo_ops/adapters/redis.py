"""Where a Redis is, how a client logs in there, and whether it is ready."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.questions import Deadline
from techsapo_ops.adapters.tls import no_tls, trusting
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_SHOWN = 200
_LONGEST_LINE = 4096
"""Bytes; a status or an error of Redis is far shorter."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where the Sentinels answer that know the master, the nearest first, and what they call it."""

    addresses: tuple[Address, ...]
    master: str

    def __str__(self) -> str:
        return ", ".join(map(str, self.addresses))

    @property
    def copies(self) -> int:
        """How many replicas must have a write that no failover may lose: with the master, most of all.

        A failover needs most of the machines, and takes the replica that has most.
        """
        return len(self.addresses) // 2


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis and how a client logs in there.

    Where it speaks `tls`, it has to show a certificate for its address that `ca` has signed (None: one of the
    system's CAs).
    """

    host: str
    """What it listens on; a client of this host asks the address that leads there."""
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    sentinels: Sentinels | None = None
    """Who is asked where it is; `host` and `port` say nothing then."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.sentinels is None else str(self.sentinels)

    @property
    def copies(self) -> int:
        """How many replicas must have what no failover may lose; 0 where there is no failover."""
        return self.sentinels.copies if self.sentinels is not None else 0

    def url(self, scheme: str) -> str:
        """Where a client of this host connects, without the login; `scheme` gets an s where it is TLS."""
        return Address(reachable_host(self.host), self.port).url(scheme=scheme + "s" * self.tls)

    def login(self) -> dict[str, Any]:
        """Options of redis-py, and of what is built on it, that log a client in.

        That it is to speak TLS, the caller says in its own way.
        """
        options: dict[str, Any] = {}
        if self.tls:
            ca = str(self.ca) if self.ca is not None else None
            options |= {"ssl_ca_certs": ca, "ssl_check_hostname": True}
        if self.password is not None:
            options["password"] = self.password
        if self.user is not None:
            options["username"] = self.user
        return options

    def client_options(self, timeout: float) -> dict[str, Any]:
        """Options of a connection of redis-py that waits `timeout` seconds at most and never retries by
        itself.
        """
        where = {"host": reachable_host(self.host), "port": self.port}
        return {**where, **self.login(), **bounded(timeout)}


def bounded(timeout: float) -> dict[str, Any]:
    """Options of a connection that waits `timeout` seconds at most, and never tries again by itself."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def ready(
    address: Address, deadline: Deadline, *, user: str | None, password: str | None, ca: Path | None = None
) -> tuple[bool, str]:
    """Whether the server answers PONG, after AUTH where there is a password; and a detail for the user.

    It is asked by TLS where there is a `ca`, which must have signed its certificate. By hand: to import
    redis-py, its asyncio half included, takes longer than all the rest of a probe. The protocol:
    https://redis.io/docs/latest/develop/reference/protocol-spec/
    Raises OSError where it is not reached, or not in time.
    """
    try:
        return _ping(_opened(address, deadline, ca), deadline, user, password)
    except OpsError as error:
        return False, error.message


def _ping(
    link: socket.socket, deadline: Deadline, user: str | None, password: str | None
) -> tuple[bool, str]:
    with link, link.makefile("rb") as answers:
        link.settimeout(deadline.seconds)
        if password is not None:
            refused = _said(link, answers, "AUTH", *([user] if user else []), password)
            if refused.startswith("-LOADING"):
                return False, msg("is loading its data set into memory")
            if refused.startswith("-"):
                return False, _login_problem(refused[1:], user, password)
        answer = _said(link, answers, "PING")
    if answer.startswith("-LOADING"):
        return False, msg("is loading its data set into memory")
    if answer.startswith(("-NOAUTH", "-WRONGPASS")):
        return False, _login_problem(answer[1:], user, password)
    if answer.startswith("-"):
        return False, answer[1:].removeprefix("ERR ")
    if answer == "+PONG":
        return True, "PONG"
    return False, msg("answered {answer} to PING", answer=repr(answer[1:_SHOWN]))


def _opened(address: Address, deadline: Deadline, ca: Path | None) -> socket.socket:
    """A connection, by TLS where there is a `ca`. Raises OSError, or OpsError in words."""
    if ca is None:
        return deadline.connect(address.host, address.port)
    import ssl

    context = trusting(ca)
    plain = deadline.connect(address.host, address.port)
    plain.settimeout(deadline.seconds)
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except ssl.SSLError as error:
        raise no_tls(error) from None
    finally:
        plain.close()  # wrapped, it has given its descriptor away


def _said(link: socket.socket, answers: BinaryIO, *words: str) -> str:
    """Send one command; its answer's first line. Raises OSError for what is no such line."""
    encoded = [word.encode() for word in words]
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    link.sendall(b"*%d\r\n" % len(encoded) + b"".join(parts))
    line = answers.readline(_LONGEST_LINE)
    if not line:
        raise ConnectionResetError(msg("closed the connection"))
    if line[:1] not in b"+-:$*" or len(line) == _LONGEST_LINE:
        raise OSError(msg("answered with something that is not Redis's protocol"))
    return line.decode(errors="replace").rstrip("\r\n")


def _login_problem(text: str, user: str | None, password: str | None) -> str:
    if password is None:
        return msg("requires a password (NOAUTH); set redis.password or redis.password_file")
    if "without any password" in text:
        return msg("has no password, but the spec has one: restart Redis to apply it")
    if user is not None:
        return msg("refused user {user}: unknown, or wrong password (redis.user, redis.password)", user=user)
    return msg("refused the password (redis.password)")
