"""A whole machine is lost: its cable is pulled, or its power cut, by the role that it has, under load.

The whole stack of techsapo stands on three; requests come from outside to the floating address. Of a role's
cuts every other one is of the cable, and the rest are of the power.
"""

from __future__ import annotations

import time
from collections import defaultdict

from projects import Project
from servers import wait_for
from swarm_lab import HOSTS

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground
from tests.swarm.traffic import Traffic, asking


def prove(ground: Ground, found: Figures) -> None:
    """Bring it up, apply nothing, then lose one machine after another and bring each back."""
    before, own_before = ground.lab.memory(), ground.lab.memory(files=False)
    began = time.monotonic()
    stack = ground.stack
    found.add("from nothing to ready, the app's image built", "s", [time.monotonic() - began], 60)
    memory, own = ground.lab.memory(), ground.lab.memory(files=False)
    memory.subtract(before)
    own.subtract(own_before)
    found.add("more memory, on all three machines", "MB", [memory.total() / 1e6], 1200)
    found.add("of it the processes' own", "MB", [own.total() / 1e6])
    parts = ", ".join(f"{n} {b / 1e6:.0f} ({own[n] / 1e6:.0f})" for n, b in memory.most_common(14))
    found.notes.append(f"Memory in MB, and the processes' own of it: {parts}.")
    found.add("apply of nothing", "s", [_seconds_of(stack, "up") for _ in range(5)], 3)
    _status(ground, found)

    values: dict[str, list[float]] = defaultdict(list)
    for number in range(ground.cuts):
        for role in ("the address", "Redis's master", "Swarm's leader"):
            _lose(ground, role, ("cut", "kill")[number % 2], values, number)
    wanted = {
        "GET: longest gap": 2.0,
        "POST: longest gap": 5.0,
        "failed after one retry": 0,
        "carried out twice": 0,
    }
    for what, each in values.items():
        most = next((most for name, most in wanted.items() if what.endswith(name)), None)
        found.add(what, "s" if what.endswith("gap") else "requests", each, most)


def _seconds_of(stack: Project, *arguments: str, code: int = 0) -> float:
    began = time.monotonic()
    stack.run(*arguments, code=code, timeout=300)
    return time.monotonic() - began


def _status(ground: Ground, found: Figures) -> None:
    """How long `status` takes, drift included, with every host there and then with c cut off."""
    _well(ground)
    found.add("status", "s", [_seconds_of(ground.stack, "status") for _ in range(5)], 4)
    ground.lab.cut("c")
    lost = [_seconds_of(ground.stack, "status", code=1) for _ in range(5)]
    wait_for(lambda: ground.lab.nodes("a")["c"] == "Down", timeout=120, what="c to be gone")
    lost += [_seconds_of(ground.stack, "status", code=1) for _ in range(5)]
    found.add("status with a host lost", "s", lost, 8)
    ground.lab.heal("c")
    wait_for(lambda: ground.lab.nodes("a") == dict.fromkeys(HOSTS, "Ready"), timeout=120, what="all nodes")
    _well(ground)


def _lose(ground: Ground, role: str, fault: str, values: dict[str, list[float]], number: int) -> None:
    """Lose the host that has a role, wait until the rest has answered for a while, and bring it back.

    A GET needs nginx and one app; a POST also Redis, which has its key, and the audit database.
    """
    lab, roles = ground.lab, ground.roles()
    host = roles[role]
    begins = f"{fault}-{number}-{role.split()[-1].lower()}-"
    loads = {
        kind: ground.load(prefix=f"{begins}{kind.lower()}-", kinds=(kind,), rate=rate, timeout=10)
        for kind, rate in (("GET", 20), ("POST", 10))
    }
    with (
        asking(loads["GET"], lab.enter_hub()) as reads,
        asking(loads["POST"], lab.enter_hub()) as writes,
    ):
        _flow(reads, writes)
        getattr(lab, fault)(host)
        time.sleep(10)
        _flow(reads, writes)
        (lab.heal if fault == "cut" else lab.start)(host)
        _flow(reads, writes)
        wait_for(lambda: lab.nodes("a") == dict.fromkeys(HOSTS, "Ready"), timeout=120, what="all nodes")
    _well(ground)
    for kind, traffic in (("GET", reads), ("POST", writes)):
        outcome = traffic.outcome()
        values[f"{role}, {kind}: longest gap"].append(outcome.gap.seconds)
        values[f"{role}, {kind}: failed at the first try"].append(traffic.failed_first())
        values[f"{role}, {kind}: failed after one retry"].append(outcome.failed_count)
        values[f"{role}, {kind}: carried out twice"].append(len(outcome.doubled))
        print(
            f"{host} {fault}: {role} (of {roles}), {kind}: "
            f"gap {outcome.gap.seconds:.2f} s at {outcome.gap.at:.1f}, {_why(traffic)}"
        )


def _flow(*loads: Traffic) -> None:
    for traffic in loads:
        traffic.flows(20)


def _why(traffic: Traffic) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in traffic.reasons().items()) or "nothing failed"


def _well(ground: Ground) -> None:
    """Wait until every part of the stack is well."""
    said: dict[str, object] = {}

    def healthy() -> bool:
        said.update(ground.stack.health())
        return said["status"] == "healthy"

    wait_for(healthy, timeout=240, what="healthy")
