"""Asks an address at a steady rate, each time on a connection of its own, and tells each answer as a line.

python front_load.py HOST PORT RATE: until it is told to stop (TERM). A request that fails is sent once more,
two seconds later, under the same Idempotency-Key, as a client of ours does.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

_SECONDS = 3.0
_PAUSE = 2.0


async def ask(host: str, port: int, key: str, method: str) -> str:
    """The answer's status, or what happened instead."""
    body = b"{}" if method == "POST" else b""
    head = (
        f"{method} /api/v1/analyze HTTP/1.1\r\nHost: front\r\nConnection: close\r\nIdempotency-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(head.encode() + body)
            answer = await reader.read()
            writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    return answer.split(b" ", 2)[1].decode() if answer.count(b" ") > 1 else "nothing"


async def one(host: str, port: int, number: int) -> None:
    """One question, and what came of it."""
    began, method = time.time(), "POST" if number % 2 else "GET"
    first = last = await ask(host, port, f"front-{number}", method)
    if first != "200":
        await asyncio.sleep(_PAUSE)
        last = await ask(host, port, f"front-{number}", method)
    line = {"at": began, "over": time.time(), "first": first, "last": last, "method": method}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def load(host: str, port: int, rate: float) -> None:
    """Ask until told to stop, then wait for what is under way."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asked: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0
    while not stop.is_set():
        asked.add(asyncio.create_task(one(host, port, number)))
        number += 1
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
    await asyncio.gather(*asked)


if __name__ == "__main__":
    asyncio.run(load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
