"""Asks a service whether it is ready."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.http import Unreachable, fetch, preload
from techsapo_ops.adapters.reasons import os_reason

if TYPE_CHECKING:
    import ssl

_SHOWN = 200
_LONGEST_LINE = 4096
"""Bytes; a status or an error of Redis is far shorter."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found: `seconds` is how long it took, `body` the start of an HTTP answer."""

    ok: bool
    detail: str
    seconds: float
    body: bytes = b""


class _NoTls(Exception):
    """A peer does not speak TLS, or not as one that is to be trusted."""


class Question(Protocol):
    """How a service's readiness is asked."""

    @property
    def kind(self) -> str:
        """http, redis, mysql or tcp."""
        ...

    @property
    def path(self) -> str:
        """What is asked for, for http."""
        ...


def probe(
    kind: Question,
    address: Address,
    *,
    timeout: float,
    user: str | None = None,
    password: str | None = None,
    ca: Path | None = None,
) -> ProbeResult:
    """Ask the service at `address` whether it is ready; over within `timeout` seconds.

    http wants a 2xx answer of `kind.path`, redis a PONG (after AUTH where there is a password), mysql the
    answer to SELECT 1 (without `user`: just the greeting of a server), tcp a connection. Redis and mysql are
    asked by TLS where there is a `ca`, which must have signed the certificate. Never raises for what a peer
    does or fails to do: that is `ok=False` with a detail for the user.
    """
    if kind.kind == "http":
        return _http(address.url(kind.path), timeout)
    # The clock starts after the import: the first probe must not look slower than its peer is.
    if kind.kind == "mysql":
        import pymysql  # noqa: F401 - see above
    with Deadline(timeout) as deadline:
        try:
            if kind.kind == "redis":
                ok, detail = _redis(address, deadline, user, password, ca)
            elif kind.kind == "mysql":
                ok, detail = _mysql(address, deadline, user, password, ca)
            else:
                _connect(address, deadline).close()
                ok, detail = True, "accepts connections"
        except _NoTls as error:
            ok, detail = False, str(error)
        except OSError as error:
            ok, detail = False, os_reason(error) or str(error)
        if deadline.expired or detail == "timed out":
            ok, detail = False, f"did not answer within {timeout:g} s"
        return ProbeResult(ok, detail, deadline.elapsed)


def _http(url: str, timeout: float) -> ProbeResult:
    preload()
    with Deadline(timeout) as clock:
        try:
            answer = fetch(url, timeout=timeout)
        except Unreachable as error:
            return ProbeResult(False, error.reason, clock.elapsed)
    words = " ".join(answer.text[: 4 * _SHOWN].split())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
    detail = f"HTTP {answer.status}" if answer.ok or not shown else f"HTTP {answer.status}: {shown}"
    return ProbeResult(answer.ok, detail, answer.seconds, answer.body)


def _connect(address: Address, deadline: Deadline) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), deadline.left)
    deadline.watch(connection)
    return connection


def _redis(
    address: Address, deadline: Deadline, user: str | None, password: str | None, ca: Path | None
) -> tuple[bool, str]:
    """PING by hand: to import redis-py, its asyncio half included, takes longer than all the rest of a probe.

    The protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
    """
    with _redis_link(address, deadline, ca) as link, link.makefile("rb") as answers:
        link.settimeout(deadline.seconds)
        if password is not None:
            refused = _redis_says(link, answers, "AUTH", *([user] if user else []), password)
            if refused.startswith("-LOADING"):
                return False, "is loading its data set into memory"
            if refused.startswith("-"):
                return False, _redis_login(refused[1:], user, password)
        answer = _redis_says(link, answers, "PING")
    if answer.startswith("-LOADING"):
        return False, "is loading its data set into memory"
    if answer.startswith(("-NOAUTH", "-WRONGPASS")):
        return False, _redis_login(answer[1:], user, password)
    if answer.startswith("-"):
        return False, answer[1:].removeprefix("ERR ")
    return answer == "+PONG", "PONG" if answer == "+PONG" else f"answered {answer[1:_SHOWN]!r} to PING"


def _redis_link(address: Address, deadline: Deadline, ca: Path | None) -> socket.socket:
    """A connection, by TLS where there is a `ca`. Raises OSError, or _NoTls in words."""
    if ca is None:
        return _connect(address, deadline)
    import ssl

    context = _trusting(ca)
    plain = _connect(address, deadline)
    plain.settimeout(deadline.seconds)
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except ssl.SSLError as error:
        raise _no_tls(error) from None
    finally:
        plain.close()  # wrapped, it has given its descriptor away


def _trusting(ca: Path) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise _NoTls(f"the CA certificate {ca} can't be read: {os_reason(error) or error}") from None


def _no_tls(error: ssl.SSLError) -> _NoTls:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return _NoTls(f"shows a certificate that is not to be trusted: {error.verify_message}")
    return _NoTls(f"speaks no TLS: {error.reason or error}")


def _redis_says(link: socket.socket, answers: BinaryIO, *words: str) -> str:
    """Send one command; its answer's first line. Raises OSError for what is no such line."""
    encoded = [word.encode() for word in words]
    parts = (b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    link.sendall(b"*%d\r\n" % len(encoded) + b"".join(parts))
    line = answers.readline(_LONGEST_LINE)
    if not line:
        raise ConnectionResetError("closed the connection")
    if line[:1] not in b"+-:$*" or len(line) == _LONGEST_LINE:
        raise OSError("answered with something that is not Redis's protocol")
    return line.decode(errors="replace").rstrip("\r\n")


def _redis_login(text: str, user: str | None, password: str | None) -> str:
    if password is None:
        return "wants a password (NOAUTH); set redis.password or redis.password_file"
    if "without any password" in text:
        return "has no password set, but the spec has one: restart Redis so that it takes it"
    if user is not None:
        return f"refused user {user}: unknown, or wrong password (redis.user, redis.password)"
    return "refused the password (redis.password)"


def _mysql(
    address: Address, deadline: Deadline, user: str | None, password: str | None, ca: Path | None
) -> tuple[bool, str]:
    import ssl

    import pymysql

    link = pymysql.connect(
        host=address.host,
        port=address.port,
        user=user or "",
        password=password or "",
        connect_timeout=max(deadline.seconds, 1),
        read_timeout=deadline.seconds,
        write_timeout=deadline.seconds,
        ssl=_trusting(ca) if ca is not None else None,
        ssl_disabled=ca is None,
        read_default_file=None,
        defer_connect=True,
    )
    raw = _connect(address, deadline)
    raw.settimeout(deadline.seconds)
    try:
        link.connect(raw)
        with link.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except ssl.SSLError as error:
        raise _no_tls(error) from None
    except pymysql.MySQLError as error:
        if isinstance(cause := getattr(error, "original_exception", None), ssl.SSLError):
            raise _no_tls(cause) from None
        code = error.args[0] if error.args else 0
        if code == 1045 and user is None:
            return True, "answers (not logged in)"
        return False, _mysql_reason(error, code, user)
    finally:
        if link.open:
            link.close()
        raw.close()
    return True, f"SELECT 1 ({link.get_server_info()})"


def _mysql_reason(error: Exception, code: object, user: str | None) -> str:
    if code == 1045:
        return f"refused user {user}: wrong password (mysql.password)"
    if code == 1040:
        return "has too many connections"
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if "timed out" in text:
        return "timed out"
    return os_reason(error) or " ".join(text.split())[:_SHOWN] or "closed the connection"
