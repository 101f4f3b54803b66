"""Server-sent events of a vendor's stream, read by hand.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

MEDIA_TYPE = "text/event-stream"
_LINE = re.compile(rb"\r\n|\n|\r")


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event, whatever its name. Comments are left out, and an event that breaks off."""
    rest, data = list[bytes](), list[bytes]()
    async for chunk in chunks:
        rest.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            continue  # joined once: a long line in many chunks would else be copied for each
        whole = b"".join(rest)
        held = whole.endswith(b"\r")  # a line feed may follow that belongs to it
        *lines, last = _LINE.split(whole[:-1] if held else whole)
        rest = [last + b"\r" if held else last]
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data.clear()
