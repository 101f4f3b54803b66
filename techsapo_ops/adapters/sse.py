"""Server-sent events as a client reads them."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from techsapo_ops.adapters.http import Unreachable, raise_untrusted, way
from techsapo_ops.adapters.reasons import os_reason
from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.messages import msg

LARGEST = 16 * 1024**2
"""Most bytes of a line, of an event and of an answer that is no stream: a broken peer fills no memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event and the HTTP status of its answer; an answer that is no stream is one without a name."""

    status: int
    name: str
    data: str
    id: str = ""


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
    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    import httpx

    try:
        context, named = way(url, headers, trust, timeout)
        with (
            httpx.Client(trust_env=False, verify=context, timeout=timeout) as client,
            client.stream(
                "GET" if content is None else "POST",
                url,
                headers={"Accept-Encoding": "identity", **headers, "Accept": "text/event-stream"},
                content=content,
                extensions=named,
            ) as response,
        ):
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                yield Event(response.status_code, "", _text(_start(response.iter_raw())))
                return
            name, last_id, data = "message", "", bytearray()
            for line in _lines(response.iter_raw(), url):
                field, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if not line:
                    if data:
                        yield Event(response.status_code, name, _text(data[:-1]), last_id)
                    name, data = "message", bytearray()
                elif field == b"event":
                    name = _text(value)
                elif field == b"id":
                    last_id = _text(value)
                elif field == b"data":
                    data += value + b"\n"
                    if len(data) > LARGEST:
                        raise _too_long(url)
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


def _lines(chunks: Iterator[bytes], url: str) -> Iterator[bytes]:
    """Each line that has an end, without it. Raises Unreachable for one that is longer than LARGEST.

    httpx's own reader keeps a line of any length, and ends one at U+2028 too.
    """
    rest = bytearray()
    first, after_cr = True, False
    for chunk in chunks:
        piece = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r")
        for line in piece.splitlines(keepends=True):
            rest += line
            if len(rest) > LARGEST:
                raise _too_long(url)
            if line.endswith((b"\n", b"\r")):
                text = bytes(rest.rstrip(b"\r\n"))
                yield text.removeprefix(BOM_UTF8) if first else text
                first = False
                rest.clear()


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")


def _too_long(url: str) -> Unreachable:
    return Unreachable(url, msg("an event is longer than {largest} bytes", largest=LARGEST), connected=True)
