"""Clients of the metrics stream, as raw sockets in a process of their own.

`python stream_clients.py PORT SSE WEBSOCKETS TICKS` prints a JSON line when all are connected, and waits for
a line on stdin; then it counts whole ticks: delays in seconds, how many clients got all of them.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import sys
import time

SSE = b"GET /api/v1/metrics/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WEBSOCKET = (
    b"GET /ws/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TIME = re.compile(rb'"data":\{"time":([0-9.]+)')


def connect(port: int, number: int, request: bytes) -> list[socket.socket]:
    sockets = []
    for _ in range(number):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request)
        sockets.append(one)
        if len(sockets) % 100 == 0:
            time.sleep(0.02)
    return sockets


def main(port: int, sse: int, websockets: int, ticks: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = connect(port, sse, SSE) + connect(port, websockets, WEBSOCKET)
    poll = selectors.DefaultSelector()
    for client in clients:
        client.setblocking(False)
        poll.register(client, selectors.EVENT_READ)
    greeted: set[socket.socket] = set()
    while len(greeted) < len(clients):
        for key, _ in poll.select(timeout=1):
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            if data[:12] in {b"HTTP/1.1 200", b"HTTP/1.1 101"}:
                greeted.add(key.fileobj)  # type: ignore[arg-type]
    print(json.dumps({"connected": len(greeted)}), flush=True)
    sys.stdin.readline()
    seen: dict[bytes, int] = {}
    got = dict.fromkeys(clients, 0)
    delays: list[float] = []
    started = time.time()
    while time.time() < started + 60:
        for key, _ in poll.select(timeout=0.2):
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            now = time.time()
            for told in _TIME.findall(data):
                if float(told) < started:
                    continue  # on its way before we began
                number = seen.setdefault(told, len(seen) + 1)
                if number <= ticks:
                    got[key.fileobj] += 1  # type: ignore[index]
                    delays.append(now - float(told))
        if len(seen) > ticks:  # the next one has begun, and a socket keeps its order
            break
    delays.sort()
    print(
        json.dumps(
            {
                "p50": delays[len(delays) // 2],
                "p99": delays[int(len(delays) * 0.99)],
                "max": delays[-1],
                "complete": sum(1 for n in got.values() if n == ticks),
                "frames": len(delays),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
