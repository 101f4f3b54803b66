"""What a connection may do before there is a request: uvicorn bounds neither bytes nor time of a head."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from techsapo_ops.messages import msg
from techsapo_ops.serve.crowd import Crowd
from techsapo_ops.serve.problems import MEDIA_TYPE, Code, Problem
from techsapo_ops.spec.models.app import Limits

HEAD_BYTES = 64 * 1024
"""Most bytes of a request line with its headers: twice what nginx hands on, whose own bound is 4 x 8 KB."""
HEAD_SECONDS = 20.0
"""Seconds for a head, from the connection or its first byte on. A browser that opens a connection in advance
and does not use it that long opens another.
"""
READ_TIMEOUT = 30.0
"""Seconds in which a whole body must have arrived, so that a trickle holds no connection for ever."""
BODY_SECONDS = READ_TIMEOUT + 5
"""Seconds for a body that nobody reads: whoever reads it gives up first, with an answer."""
PIPELINED = 32
"""Most requests that a client may send ahead on one connection. Browsers send none, proxies a few."""
LINGER = 1.0
"""Seconds for which what a refused client still sends is read and let go: closed at once, the connection
would be reset, and the answer lost with it.
"""
LINGER_BYTES = 4 * 1024 * 1024
LINGERING = 256
"""Most connections that linger at once; others are closed at once."""


@dataclass(slots=True)
class Door:
    """The bounds of connections, and who counts them. `refused` is told of a code and a client's address."""

    crowd: Crowd = field(default_factory=lambda: Crowd(Limits()))
    refused: Callable[[Code, str], None] = lambda _code, _client: None
    max_body: int = 1024 * 1024
    """Most bytes of a body that nobody reads, after its answer."""
    head_bytes: int = HEAD_BYTES
    head_seconds: float = HEAD_SECONDS
    body_seconds: float = BODY_SECONDS
    lingering: int = 0


def head_too_large(most: int) -> Problem:
    """The headers have too many bytes."""
    return Problem(
        431, "headers_too_large", msg("request line and headers are larger than {most} bytes", most=most)
    )


def head_late(seconds: float) -> Problem:
    """The headers have not arrived in time."""
    return Problem(408, "timeout", msg("the headers did not arrive within {seconds:g} s", seconds=seconds))


def malformed() -> Problem:
    """What came is not HTTP."""
    return Problem(400, "malformed_request", msg("this is not an HTTP/1.1 request"))


def last_answer(problem: Problem) -> bytes:
    """The whole answer to a client without a request, after which the connection ends."""
    content = json.dumps(problem.document(), ensure_ascii=False).encode()
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(content)}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if problem.retry_after is not None:
        lines.append(f"Retry-After: {math.ceil(problem.retry_after)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + content
