"""Requests at a steady rate, from a process of its own; its standard output has a line of JSON for each try.

`python -m tests.swarm.load '{"url": …}'` with the fields of `Load`. It ends with its standard input, after
`seconds`, or by SIGTERM, and always lets what is under way come to an end. Each try has a connection of its
own, as of a client that was never there before.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal

AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which a client sends the same request again; an answer that breaks off is another reason."""
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Load:
    """What is asked, from whom, how often."""

    url: str
    """Without a path: http://10.77.0.100."""
    kinds: tuple[str, ...] = ("POST",)
    """GET and POST take turns in this order."""
    path: str = "/api/v1/drill"
    body: str = '{"seconds": 0}'
    """Of a POST; {id} in it is the request's."""
    key: str = field(default="", repr=False)
    """The app's, which proves that the requests are a drill's; without it they have no such proof."""
    headers: tuple[tuple[str, str], ...] = ()
    prefix: str = "load-"
    """How each id begins."""
    ids: tuple[str, ...] = ()
    """The ids themselves, of which each is asked once; default: `prefix` and a number, without end."""
    rate: float = 20.0
    seconds: float = 600.0
    retries: int = 1
    again_after: float = 1.0
    """Seconds from a failed try to the next."""
    timeout: float = 5.0
    """Seconds for which a try is waited for."""

    def to_json(self) -> str:
        """As the program takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Load:
        """What `to_json` said. Raises TypeError where a field is unknown."""
        given = json.loads(text)
        return cls(
            **{
                **given,
                "kinds": tuple(given.get("kinds", cls.kinds)),
                "ids": tuple(given.get("ids", ())),
                "headers": tuple((name, value) for name, value in given.get("headers", ())),
            }
        )


def request_bytes(load: Load, number: int, name: str) -> bytes:
    """The request `number` as it goes over the wire: with its id, and as a POST with the same as its key."""
    method = load.kinds[number % len(load.kinds)]
    body = load.body.replace("{id}", name).encode() if method == "POST" else b""
    headers = {
        "Host": urlsplit(load.url).netloc,
        "Connection": "close",
        "X-Request-ID": name,
        **dict(load.headers),
    }
    if method == "POST":
        headers |= {
            "Idempotency-Key": name,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
    if load.key:
        headers[DRILL_HEADER] = DrillSeal(load.key.encode()).proof(method, load.path, name, body)
    lines = [f"{method} {load.path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def told(raw: bytes) -> dict[str, Any]:
    """What an answer says: its status, who gave it, what it cost; `reason` where it is none."""
    head, end, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not end or not first.startswith("HTTP/1."):
        return {"reason": "broken off" if raw else "closed without a word"}
    status = int(first.split()[1])
    named = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    found: dict[str, Any] = {"status": status, "replayed": "idempotency-replayed" in named}
    if "chunked" in named.get("transfer-encoding", ""):
        body = _of_chunks(body)
    elif len(body) != int(named.get("content-length", len(body))):
        return {**found, "reason": "broken off"}
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not 200 <= status < 300:
        code = said.get("code", "") if isinstance(said, dict) else ""
        return {**found, "reason": f"HTTP {status} {code}".rstrip()}
    if said is None:
        return (
            {**found, "reason": ""}
            if named.get("content-type") != "application/json"
            else {**found, "reason": "broken off"}
        )
    return {**found, **_of_body(said), "reason": ""}


def _of_chunks(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole


def _of_body(said: Any) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        return {}
    names = {"instance": "instance", "execution": "execution", "cost": "cost_usd", "answer": "request_id"}
    return {to: said[name] for to, name in names.items() if name in said}


async def _try(load: Load, request: bytes) -> dict[str, Any]:
    address = urlsplit(load.url)
    secure = None
    if address.scheme == "https":
        secure = ssl.create_default_context()
        secure.check_hostname, secure.verify_mode = False, ssl.CERT_NONE  # the load is about time alone
    writer = None
    try:
        async with asyncio.timeout(load.timeout):
            port = address.port or (443 if secure else 80)
            reader, writer = await asyncio.open_connection(address.hostname, port, ssl=secure, limit=_LARGEST)
            writer.write(request)
            await writer.drain()
            return told(await _whole(reader))
    except TimeoutError:
        return {"reason": f"no answer within {load.timeout:g} s" if writer else "no connection"}
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        return {"reason": os.strerror(number).lower() if number else type(error).__name__}
    finally:
        if writer is not None:
            writer.close()


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """An answer, by its Content-Length or to the end; of one that breaks off, what came."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
    except asyncio.IncompleteReadError as error:
        return error.partial
    if length is None:
        return head + await reader.read(-1)
    try:
        return head + await reader.readexactly(int(length[1]))
    except asyncio.IncompleteReadError as error:
        return head + error.partial


async def _ask(load: Load, number: int) -> None:
    name = load.ids[number] if load.ids else f"{load.prefix}{number:06}"
    for left in range(load.retries, -1, -1):
        began = time.monotonic()
        found = await _try(load, request_bytes(load, number, name))
        answered = found.get("status", 0) not in {0, *AGAIN}
        last = not found["reason"] or not left or (answered and found["reason"].startswith("HTTP"))
        line = {"id": name, "kind": load.kinds[number % len(load.kinds)].lower(), "began": began,
                "ended": time.monotonic(), "last": last, **found}  # fmt: skip
        print(json.dumps(line), flush=True)
        if last:
            return
        await asyncio.sleep(load.again_after)


async def _main(load: Load) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(0, lambda: None if os.read(0, 4096) else stop.set())
    began, under_way = time.monotonic(), set[asyncio.Task[None]]()
    for each in range(len(load.ids) or int(load.rate * load.seconds)):
        wait = began + each / load.rate - time.monotonic()
        try:
            async with asyncio.timeout(max(wait, 0)):
                await stop.wait()
        except TimeoutError:
            pass
        if stop.is_set():
            break
        task = asyncio.create_task(_ask(load, each))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


if __name__ == "__main__":
    asyncio.run(_main(Load.from_json(sys.argv[1])))
