"""Server-sent events as a client reads them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from techsapo_ops.adapters.http import Unreachable, raise_untrusted, way
from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.messages import msg

MEDIA_TYPE = "text/event-stream"
LARGEST = 16 * 1024**2
"""Most bytes of a line, of an event and of an answer that is no stream: a broken peer fills no memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event and the HTTP status of its answer; an answer that is no stream is one without a name."""

    status: int
    name: str
    data: str
    id: str = ""


class TooLong(ValueError):
    """A line or an event is longer than LARGEST."""


class Parser:
    """Finds the events in the bytes of a stream, which come in pieces of any size.

    Comments are left out, and an event that breaks off. httpx's own reader keeps a line of any length, and
    ends one at U+2028 too.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._first, self._after_cr = True, False
        self._name, self._id, self._data = "message", "", bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str, bytes]]:
        """Name, id and data of each event that `chunk` ends. Raises TooLong."""
        piece = chunk.removeprefix(b"\n") if self._after_cr else chunk
        self._after_cr = chunk.endswith(b"\r")
        for part in piece.splitlines(keepends=True):
            self._line += part
            if len(self._line) > LARGEST:
                raise TooLong
            if not part.endswith((b"\n", b"\r")):
                continue
            line = bytes(self._line.rstrip(b"\r\n"))
            self._line.clear()
            if self._first:
                line, self._first = line.removeprefix(BOM_UTF8), False
            if line:
                self._take(line)
                continue
            if self._data:
                yield self._name, self._id, bytes(self._data[:-1])
            self._name, self._data = "message", bytearray()

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = _text(value)
        elif field == b"id":
            self._id = _text(value)
        elif field == b"data":
            self._data += value + b"\n"
            if len(self._data) > LARGEST:
                raise TooLong


def events(
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    timeout: float,
    trust: Trust = SYSTEM,
) -> Iterator[Event]:
    """POST `content`, or GET where it is None, and yield each event as it comes.

    `timeout` is the longest silence in seconds. Raises Unreachable when there is no answer, it breaks off or
    an event is longer than LARGEST, and for `trust` and keys what fetch raises.
    """
    import httpx

    try:
        context, named = way(url, headers, trust, timeout)
        with (
            httpx.Client(trust_env=False, verify=context, timeout=timeout) as client,
            client.stream(
                "GET" if content is None else "POST",
                url,
                headers={"Accept-Encoding": "identity", **headers, "Accept": MEDIA_TYPE},
                content=content,
                extensions=named,
            ) as response,
        ):
            if not response.headers.get("content-type", "").startswith(MEDIA_TYPE):
                yield Event(response.status_code, "", _text(_start(response.iter_raw())))
                return
            parser = Parser()
            for chunk in response.iter_raw():
                for name, last_id, data in parser.feed(chunk):
                    yield Event(response.status_code, name, _text(data), last_id)
    except TooLong:
        told = msg("an event is longer than {largest} bytes", largest=LARGEST)
        raise Unreachable(url, told, connected=True) from None
    except httpx.TimeoutException:
        raise Unreachable(url, msg("silent for {timeout:g} s", timeout=timeout)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise_untrusted(url, error, trust)
        raise Unreachable(url, os_reason(error) or str(error) or type(error).__name__) from None


def _start(chunks: Iterator[bytes]) -> bytes:
    """The first LARGEST bytes of an answer."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) >= LARGEST:
            break
    return bytes(body[:LARGEST])


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
