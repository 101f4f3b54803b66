"""Questions from outside the machine, and which of them were answered to the last byte."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CLIENTS = 2


@dataclass
class Traffic:
    """What was asked through a port of this host."""

    port: int
    answered: list[str] = field(default_factory=list)
    """Ids of the requests whose answers were read whole."""
    refused: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def ask_on(self, client: int) -> None:
        """Ask one question after the other until `stop`."""
        number = 0
        while not self._stop.is_set():
            number += 1
            body = json.dumps({"prompt": f"nginx が 502 を返す {client}-{number}-{id(self)}"}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/api/v1/generate", body, {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.answered.append(json.load(answer)["request_id"])
            except (OSError, ValueError, urllib.error.URLError):
                self.refused += 1
                self._stop.wait(0.5)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()


@contextmanager
def asking(port: int, clients: int = CLIENTS) -> Iterator[Traffic]:
    """Questions of some clients at once, until the block ends."""
    traffic = Traffic(port)
    threads = [threading.Thread(target=traffic.ask_on, args=(n,), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        traffic.stop()
        for thread in threads:
            thread.join(60)
