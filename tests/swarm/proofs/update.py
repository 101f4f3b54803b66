"""A rolling update: each app, and each nginx, is replaced while requests come from outside.

A client that sends a request once alone sees whether an update is noticed at all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground
from tests.swarm.traffic import asking

_UPDATES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("apps", {"app": {"drain": "2s"}}, {"app": {"drain": "3s"}}),
    ("nginx", {"nginx": {"listen": 80, "tls_listen": 443}},
     {"nginx": {"listen": 80, "tls_listen": 443, "client_rate": 2000}}),
)  # fmt: skip
"""Whose, and between which two specs it goes to and fro."""


def prove(ground: Ground, found: Figures) -> None:
    """Update the apps, then nginx, there and back; then restart nginx and keepalived."""
    times = min(ground.cuts, 4)
    for name, *specs in _UPDATES:
        values = defaultdict[str, list[float]](list)
        for number in range(times):
            _updated(ground, f"{name}-{number}", specs[(number + 1) % 2], values)
        if times % 2:
            ground.stack.write(**specs[0])
            ground.stack.run("up", "--yes", timeout=600)
        found.add(f"{name}: seconds that the update took", "s", values["took"])
        found.add(f"{name}: longest time without an answer", "s", values["gap"], 2)
        found.add(f"{name}: requests", "requests", values["asked"])
        found.add(
            f"{name}: failed at the first try", "requests", values["first"], 0 if name == "apps" else None
        )
        found.add(f"{name}: failed after one retry", "requests", values["lost"], 0)
        found.add(f"{name}: carried out twice", "requests", values["doubled"], 0)
    restarted(ground, found)


def restarted(ground: Ground, found: Figures) -> None:
    """Restart both of each host: who has the address comes last, and that is asked anew for keepalived."""
    load = ground.load(prefix="restart-", kinds=("GET", "POST"), rate=20, timeout=10)
    holder = ground.roles()["the address"]
    with asking(load, ground.lab.enter_hub()) as traffic:
        traffic.flows()
        began = time.monotonic()
        said = ground.stack.run("restart", "nginx", "keepalived", timeout=600).stderr
        seconds = time.monotonic() - began
        traffic.flows()
    order = said.split("restarted ")[-1].split("\n")[0].split(", ")
    assert [name.rpartition("-")[0] for name in order] == ["nginx"] * 3 + ["keepalived"] * 3, order
    assert order[2] == f"nginx-{holder}", (holder, order)
    found.notes.append(f"restart: {', '.join(order)}; the address was on {holder}.")
    outcome = traffic.outcome()
    found.add("restart of nginx and keepalived", "s", [seconds])
    found.add("restart: longest time without an answer", "s", [outcome.gap.seconds], 5)
    found.add("restart: failed after one retry", "requests", [outcome.failed_count], 0)


def _updated(ground: Ground, prefix: str, spec: dict[str, Any], values: dict[str, list[float]]) -> None:
    load = ground.load(prefix=f"{prefix}-", kinds=("GET", "POST"), rate=20, timeout=10)
    with asking(load, ground.lab.enter_hub()) as traffic:
        traffic.flows()
        began = time.monotonic()
        ground.stack.write(**spec)
        ground.stack.run("up", "--yes", timeout=600)
        values["took"].append(time.monotonic() - began)
        traffic.flows()
    outcome = traffic.outcome()
    values["gap"].append(outcome.gap.seconds)
    values["asked"].append(len(outcome.requests))
    values["first"].append(traffic.failed_first())
    values["lost"].append(outcome.failed_count)
    values["doubled"].append(len(outcome.doubled))
    print(f"{prefix}: {dict(traffic.reasons())}")
