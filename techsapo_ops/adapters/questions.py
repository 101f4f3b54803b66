"""Questions to peers: several at once, a limit on the whole of a conversation, and why one failed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from techsapo_ops.messages import msg

T = TypeVar("T")
_FOREVER = threading.TIMEOUT_MAX / 2
"""Seconds; a clock that has run for a while can't add more."""


def at_once(asked: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | Exception]:
    """By name what each of `asked` returned, or raised; TimeoutError where that takes longer than `seconds`.

    In daemon threads, not an executor: one that is stuck in the kernel (statvfs on a dead network share) must
    neither hold the others nor the end of the process.
    """
    answers: dict[str, T | Exception] = {}
    ends: list[BaseException] = []

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            answers[name] = question()
        except Exception as error:  # noqa: BLE001 - handed to who asked
            answers[name] = error
        except BaseException as error:  # noqa: BLE001 - no answer: it ends who asked
            ends.append(error)

    threads = [
        threading.Thread(target=ask, args=(name, question), name=f"asks {name}", daemon=True)
        for name, question in asked.items()
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    for error in ends:
        raise error
    late = TimeoutError(msg("did not answer within {timeout:.3g} s", timeout=seconds))
    return {name: answers.get(name, late) for name in asked}


def each_of(asked: Mapping[str, Callable[[], T]], places: int = 16) -> dict[str, T]:
    """As at_once, without a limit of time: every question must end by itself. `places` of them run at once.

    Raises what one of them raised, after all have ended. For questions that change nothing: after Ctrl-C
    they are not waited for, where an executor would hold the end of the process until they answer.
    """
    free = threading.Semaphore(places)

    def within(question: Callable[[], T]) -> tuple[T]:  # a tuple: an answer may be an exception, too
        with free:
            return (question(),)

    answers: dict[str, T] = {}
    all_at_once = at_once({name: partial(within, each) for name, each in asked.items()}, _FOREVER)
    for name, answer in all_at_once.items():
        if isinstance(answer, Exception):
            raise answer
        answers[name] = answer[0]
    return answers


class Deadline:
    """Cuts the watched connections once `seconds` are over.

    A socket's own time-out starts anew with each byte, so that a peer which trickles its answer could hold
    a caller for ever. Here a timer shuts the connection down, and whoever is blocked in `recv` returns.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = time.monotonic()
        self._expired = False
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for copy in self._watched:
                copy.close()
            self._watched.clear()

    @property
    def expired(self) -> bool:
        """Whether the time is over; then an error of the connection is our own doing."""
        return self._expired

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds left; a little more than 0 when it is over, since 0 means "don't block" to a socket."""
        return max(self.seconds - self.elapsed, 0.001)

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection that is cut when the time is over. Raises OSError."""
        connection = socket.create_connection((host, port), self.left)
        self.watch(connection)
        return connection

    def watch(self, connection: socket.socket) -> None:
        """Cut `connection` when the time is over.

        A duplicate of the descriptor is kept: it stays valid when a library wraps the socket in TLS or
        closes it, and its number can't meanwhile be another file's.
        """
        with self._lock:
            copy = connection.dup()
            self._watched.append(copy)
            if self._expired:
                _shut(copy)

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            for copy in self._watched:
                _shut(copy)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the peer was faster: there is nothing left to cut
        connection.shutdown(socket.SHUT_RDWR)


def os_reason(error: BaseException) -> str:
    """The operating system's word for why a connection failed, in lower case; "" when it gave none."""
    import ssl

    for seen in causes(error):
        if isinstance(seen, TimeoutError):
            return msg("timed out")
        if isinstance(seen, ssl.SSLCertVerificationError):
            return msg("the server's certificate can't be trusted: {reason}", reason=seen.verify_message)
        if isinstance(seen, ssl.SSLError):
            plain = seen.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
            return (
                msg("does not speak TLS")
                if plain
                else msg("no TLS connection: {reason}", reason=seen.reason or seen)
            )
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, what it came of, and so on."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
