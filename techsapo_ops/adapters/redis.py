"""The way to a Redis: one for requests, which may find it away, and whether it is ready."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.cancellable import cancellable
from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.own_ca import NoTls, no_tls, trusting
from techsapo_ops.adapters.streaks import OnOperation, Operation, Streaks, uncounted
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("techsapo.redis")

T = TypeVar("T")

SHARED_TIMEOUT = 3.0
"""Longest time in seconds that a request waits for shared money, limits and locks. It is long: a busy event
loop is late by tenths of a second, and while each instance counts for itself they allow too much together."""
PAUSE = 1.0
"""Seconds for which Redis is not asked after an error, so that a dead one slows no request down."""
HUNG_PAUSE = 5.0
"""The same after one that was reached and did not answer in time: asking it again is dear."""
CONNECTIONS = 32
"""Most connections at once; more callers wait for one."""
QUEUE_TIMEOUT = 5.0
"""Longest time in seconds that a caller waits for a free connection."""
_SHOWN = 200
_LONGEST_LINE = 4096
"""Bytes; a status or an error of Redis is far shorter."""


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

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

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
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return {
            "host": reachable_host(self.host),
            "port": self.port,
            **self.login(),
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }


class Away(Exception):
    """Redis is not configured, does not answer, or failed a moment ago."""


def pause_after(error: Exception) -> float:
    """Seconds for which Redis is better left alone after `error`; one that it answers costs no wait."""
    from redis import ResponseError
    from redis import TimeoutError as Late

    if isinstance(error, ResponseError):
        return 0.0
    return HUNG_PAUSE if isinstance(error, Late | TimeoutError) else PAUSE


class RedisLink:
    """Calls to Redis, or Away at once while it is known not to answer, and where there is no `server`.

    `used_for` is told in the log.
    """

    def __init__(
        self, server: RedisServer | None, used_for: str, on_operation: OnOperation = uncounted
    ) -> None:
        self._redis: Redis | None = connect(server) if server is not None else None
        self._where = str(server)
        self._used_for = used_for
        self._on_operation = on_operation
        self._paused_until = 0.0
        self._streaks = Streaks()

    @property
    def configured(self) -> bool:
        """Whether there is a Redis at all."""
        return self._redis is not None

    @property
    def failing(self) -> frozenset[Operation]:
        """What Redis failed at last."""
        return self._streaks.failing

    async def call(self, work: Callable[[Redis], Awaitable[T]], operation: Operation = "write") -> T:
        """What `work` makes of the connection, which counts as one `operation`. Raises Away."""
        if self._redis is None or time.monotonic() < self._paused_until:
            raise Away
        from redis import RedisError

        try:
            result = await work(self._redis)
        except (RedisError, OSError) as error:
            self._on_operation(operation, False)
            self._paused_until = time.monotonic() + pause_after(error)
            if self._streaks.note(operation, ok=False):
                cause = " ".join(str(error).split())[:200] or type(error).__name__
                log.warning(
                    "Shared counters and locks are not available; this instance goes on alone",
                    extra={
                        "redis": self._where,
                        "used_for": self._used_for,
                        "operation": operation,
                        "error": cause,
                    },
                )
            raise Away from error
        self._on_operation(operation, True)
        if self._streaks.note(operation, ok=True):
            log.info(
                "Shared counters and locks are available again",
                extra={"redis": self._where, "used_for": self._used_for},
            )
        return result

    async def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()


def connect(server: RedisServer) -> Redis:
    """A client whose callers queue for few connections; nothing is connected yet."""
    from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection

    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=QUEUE_TIMEOUT,
        connection_class=SSLConnection if server.tls else Connection,
        **server.client_options(SHARED_TIMEOUT),
    )
    return cancellable(Redis(connection_pool=pool))


def ready(
    address: Address, deadline: Deadline, *, user: str | None, password: str | None, ca: Path | None
) -> tuple[bool, str]:
    """Whether the server answers PONG, after AUTH where there is a password; and a detail for the user.

    It is asked by TLS where there is a `ca`, which must have signed its certificate. By hand: to import
    redis-py, its asyncio half included, takes longer than all the rest of a probe. The protocol:
    https://redis.io/docs/latest/develop/reference/protocol-spec/
    Raises OSError where it is not reached, or not in time.
    """
    try:
        return _ping(_opened(address, deadline, ca), deadline, user, password)
    except NoTls as error:
        return False, str(error)


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
    """A connection, by TLS where there is a `ca`. Raises OSError, or NoTls in words."""
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
        return msg("wants a password (NOAUTH); set redis.password or redis.password_file")
    if "without any password" in text:
        return msg("has no password set, but the spec has one: restart Redis so that it takes it")
    if user is not None:
        return msg("refused user {user}: unknown, or wrong password (redis.user, redis.password)", user=user)
    return msg("refused the password (redis.password)")
