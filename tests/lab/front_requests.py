"""Requests through a stack's nginx for as long as something is done to what is behind it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from projects import Project
from servers import wait_for


def get(url: str, stop: threading.Event, counts: Counter[str]) -> None:
    """GET `url` until told to stop, each on a connection of its own; failures are counted by their words."""
    while not stop.is_set():
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                answer.read()
                counts[str(answer.status)] += 1
        except (OSError, urllib.error.HTTPError) as error:
            counts[f"failed: {error}"] += 1
        stop.wait(0.02)


def both_answer(stack: Project) -> bool:
    """Whether nginx asks both: it passes over one that was away for a while."""
    url, seen = f"http://127.0.0.1:{stack.spec['nginx']['listen']}/health", set()
    for _ in range(10):
        with urllib.request.urlopen(url, timeout=60) as answer:
            seen.add(json.loads(answer.read())["instance"])
    return len(seen) == 2


@contextmanager
def asked(stack: Project) -> Iterator[Counter[str]]:
    """Requests through nginx as long as the block lasts, counted by how they ended."""
    wait_for(lambda: both_answer(stack), what="both instances asked by nginx, after the restart before")
    stop, counts = threading.Event(), Counter[str]()
    urls = [f"http://127.0.0.1:{stack.spec['nginx']['listen']}{path}" for path in ("/ping", "/metrics")]
    threads = [threading.Thread(target=get, args=(url, stop, counts)) for url in urls]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join()
