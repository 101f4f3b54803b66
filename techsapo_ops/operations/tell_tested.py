"""Tells a running app which providers answered their test: it asks them again at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator

from techsapo_ops.adapters.http import Unreachable, send
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.target import Load, load_of
from techsapo_ops.services.app.kind import App
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.drill_seal import HEADER, TESTED_PATH, DrillSeal

TIMEOUT = 5.0
_ROUNDS = 6
"""Requests for each instance where nginx chooses which one answers."""


def tell_tested(stack: Stack, providers: Iterable[str]) -> tuple[str, ...]:
    """Close the breakers of `providers` in every instance; returns those of which one was open.

    An app that does not run has none. Raises OpsError where one that runs can't be told.
    """
    if not stack.layout.app_key.exists():
        return ()
    load = load_of(stack, timeout=TIMEOUT)
    closed = []
    for name in providers:
        told = [_tell(load, url, name) for url in _instances(stack.topology, load)]
        if any(told):
            closed.append(name)
    return tuple(closed)


def _instances(topology: Topology, load: Load) -> Iterator[str]:
    """Where each instance answers; through nginx, so often that each has been asked, where only that does."""
    apps = topology.of_kind(App.facts.kind)
    if all(topology.published(app) for app in apps):
        yield from (topology.address(app, Viewpoint.HOST).url() for app in apps)
    else:
        yield from (load.url for _ in range(_ROUNDS * len(apps)))


def _tell(load: Load, url: str, provider: str) -> bool:
    """Whether the breaker of `provider` was open there; False too where nobody listens."""
    name, body = f"tested-{uuid.uuid4().hex}", json.dumps({"provider": provider}).encode()
    proof = DrillSeal(load.key.reveal().encode()).proof("POST", TESTED_PATH, name, body)
    headers = {"X-Request-ID": name, HEADER: proof, "Content-Type": "application/json"}
    try:
        answer = send(url + TESTED_PATH, body, timeout=load.timeout, headers=headers, trust=load.trust)
    except Unreachable:  # it does not run, and begins with every breaker closed
        return False
    if not answer.ok:
        raise OpsError(
            msg("the app was not told who answered: HTTP {status}", status=answer.status),
            msg("`techsapo up` brings it up to date; until then it tries again by itself"),
        )
    return bool(json.loads(answer.body)["closed"])
