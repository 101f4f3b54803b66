"""Asks /ping all the time, from a process of its own, and says how long the event loop was held.

`python -m tests.bench.prober PORT PID` prints for every line on its standard input, as JSON, the
milliseconds of each probe since the line before. A server whose event loop is held answers late: a probe
takes as long as the hold, less up to INTERVAL, and what /ping itself takes. Nothing is put into the server,
and a probe costs it a few tenths of a millisecond. Time for which the server's main thread or this process
was ready to run and had no processor says nothing about the server: it is counted apart, from
/proc/PID/schedstat.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.served import Running

INTERVAL = 0.002
_REQUEST = b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Probes:
    """Milliseconds of the probes, and of each what the machine is to blame for."""

    times: list[float]
    waits: list[float]

    @property
    def own(self) -> list[float]:
        """Of each what the server is to blame for."""
        return list(map(float.__sub__, self.times, self.waits))

    @property
    def held(self) -> float:
        """The longest time for which the event loop was held, in milliseconds."""
        return max(self.own)


def quantile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Prober:
    """A prober at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self) -> Probes:
        """The probes since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Probes(*json.loads(self._process.stdout.readline()))


@contextmanager
def probing(running: Running) -> Iterator[Prober]:
    """A prober of a server that answers /ping."""
    argv = [sys.executable, "-m", "tests.bench.prober", str(running.port), str(running.process.pid)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Prober(process)
        finally:
            process.communicate()


def _probe(port: int, pid: int) -> None:
    times: list[float] = []
    waits: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            if select.select([sys.stdin], [], [], INTERVAL)[0]:
                if not sys.stdin.readline():
                    return
                print(json.dumps([times, waits]), flush=True)
                times, waits = [], []
            before, began = _waited(pid), time.perf_counter()
            connection.sendall(_REQUEST)
            reply = connection.recv(65536)
            times.append(1000 * (time.perf_counter() - began))
            waits.append(min(times[-1], _waited(pid) - before))
            assert reply.startswith(b"HTTP/1.1 200"), reply


def _waited(pid: int) -> float:
    """Milliseconds for which a process's main thread and this one were ready and had no processor."""
    told = (Path(f"/proc/{each}/schedstat").read_text(encoding="ascii") for each in (pid, "self"))
    return sum(int(line.split()[1]) for line in told) / 1e6


if __name__ == "__main__":
    _probe(int(sys.argv[1]), int(sys.argv[2]))
