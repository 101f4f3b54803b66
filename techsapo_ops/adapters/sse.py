"""Server-sent events as a client reads them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator

MEDIA_TYPE = "text/event-stream"
LARGEST = 16 * 1024**2
"""Most bytes of a line and of an event: a broken peer fills no memory."""


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


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
