"""The load that `make swarm-lab` puts on a stack, on servers that answer, refuse and hang up."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from collections import Counter
from dataclasses import replace

import pytest
from peers import Behaviour, peer, request_of
from rows import each_row
from servers import free_port, wait_for

from tests.swarm.load import Load
from tests.swarm.traffic import asking

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

FAST = Load("", rate=50, again_after=0.1, timeout=60)


def sometimes(seen: Counter[str], fails: Behaviour) -> Behaviour:
    """Treats the first try of every third id by `fails`; answers the others as the app does."""
    numbers = itertools.count()

    def behave(connection: socket.socket, over: threading.Event) -> None:
        request = request_of(connection)
        found = re.search(rb"(?m)^X-Request-ID: (\S+)", request)
        assert found is not None
        name = found[1].decode()
        seen[name] += 1
        if int(name[-6:]) % 3 == 0 and seen[name] == 1:
            fails(connection, over)
            return
        said = {"request_id": name, "instance": "app-1", "execution": str(next(numbers)), "cost_usd": 0.5}
        body = json.dumps(said).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )

    return behave


def closes(connection: socket.socket, over: threading.Event) -> None:
    """Says nothing."""


def refuses(connection: socket.socket, over: threading.Event) -> None:
    """Answers 503 and lets the client hang up."""
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy")
    connection.recv(1)


@each_row("fails, reason", [(closes, "closed without a word"), (refuses, "HTTP 503")])
def test_a_request_that_fails_is_sent_again_with_the_same_id(fails: Behaviour, reason: str) -> None:
    seen: Counter[str] = Counter()
    with peer(sometimes(seen, fails)) as port:
        with asking(replace(FAST, url=f"http://127.0.0.1:{port}")) as traffic:
            traffic.flows(30)
        outcome = traffic.outcome()
    assert set(seen) == {request.id for request in outcome.requests}
    assert traffic.failed_first() == sum(count == 2 for count in seen.values()) >= 10
    assert traffic.reasons() == {reason: traffic.failed_first()}
    assert (outcome.failed_count, outcome.unfinished, outcome.doubled) == (0, 0, ())
    assert {a.instance for r in outcome.requests for a in r.attempts} == {"app-1"}
    assert traffic.costs() == {name: [0.5] for name in seen}


def test_nobody_who_listens_is_a_failure_and_no_end() -> None:
    with asking(replace(FAST, url=f"http://127.0.0.1:{free_port()}")) as traffic:
        wait_for(lambda: len(traffic.tries()) > 20, what="tries")
    assert set(traffic.reasons()) == {"connection refused"}
    assert traffic.outcome().gap.seconds == pytest.approx(traffic.outcome().seconds)


def test_ids_that_are_given_are_asked_once_each_and_then_it_ends() -> None:
    ids = tuple(f"again-{number:06}" for number in (3, 7, 1))
    seen: Counter[str] = Counter()
    with (
        peer(sometimes(seen, closes)) as port,
        asking(replace(FAST, url=f"http://127.0.0.1:{port}", ids=ids)) as traffic,
    ):
        wait_for(lambda: sum(each["last"] for each in traffic.tries()) == 3, what="each of them")
    assert seen == {ids[0]: 2, ids[1]: 1, ids[2]: 1}
    assert {request.id for request in traffic.outcome().requests} == set(ids)
