"""App instances behind nginx are restarted one after the other, and nobody notices."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter

import pytest
from projects import only_redis, project
from servers import free_port

pytestmark = pytest.mark.lab


def load(url: str, stop: threading.Event, counts: Counter[str]) -> None:
    """GET `url` until told to stop, each on a connection of its own; failures are counted by their words."""
    while not stop.is_set():
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                answer.read()
                counts[str(answer.status)] += 1
        except (OSError, urllib.error.HTTPError) as error:
            counts[f"failed: {error}"] += 1
        stop.wait(0.005)


def test_no_get_fails_while_instances_are_restarted_in_turn() -> None:
    spec = only_redis(engine="native", nginx={"listen": free_port()})
    spec["app"] = {
        # The hardest case: instances go at once, come back while nginx still passes over them, and while
        # one is away there is a single other.
        "drain": "0s",
        "instances": [{"port": free_port(), "weight": 3}, {"port": free_port(), "weight": 2}],
    }
    with project(spec) as stack:
        stack.run("up")
        before = stack.pids()
        stack.write(wallbounce={"consensus": 0.55})
        stop, counts = threading.Event(), Counter[str]()
        urls = [f"http://127.0.0.1:{spec['nginx']['listen']}{path}" for path in ("/ping", "/metrics")]
        threads = [threading.Thread(target=load, args=(url, stop, counts)) for url in urls]
        for thread in threads:
            thread.start()
        try:
            done = json.loads(stack.run("up", "--json").stdout)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        after = stack.pids()
        assert {s["service"]: s["action"] for s in done["steps"]} == {
            "redis": "nothing",
            "app-1": "restart",
            "app-2": "restart",
            "nginx": "nothing",
        }
        assert {n for n in after if after[n] != before[n]} == {"app-1", "app-2"}
        assert set(counts) == {"200"}, counts
        assert counts["200"] > 100
