"""The front: how long nobody answers when the machine with its address is cut off, or its nginx ends.

keepalived and nginx of three machines, started from the generated files on networks of their own, in front of
apps that always answer; twenty requests a second from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from front_lab import FLOATING, Front, failed, gap, running_front, script_pids
from servers import wait_for

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground


def prove(ground: Ground, found: Figures) -> None:
    """Cut the holder off, kill its nginx, let its nginx drain; each some times."""
    with running_front() as front:
        for name, fault in (("holder cut off", _cut), ("nginx killed", _kill), ("nginx drained", _drain)):
            _tried(front, (name, fault), ground.cuts, found)


def _tried(front: Front, kind: tuple[str, Callable[[Front], None]], cuts: int, found: Figures) -> None:
    name, fault = kind
    gaps, firsts, lost, asked = [], [], [], 0
    for _ in range(cuts):
        front.all_ready()
        with front.load() as lines:
            fault(front)
            front.all_ready()
        gaps.append(gap(lines))
        firsts.append(len(failed(lines, "first")))
        lost.append(len(failed(lines, "last")))
        asked += len(lines)
    found.add(f"{name}: longest time without an answer", "s", gaps, 2.0)
    found.add(f"{name}: failed at the first try", "requests", firsts)
    found.add(f"{name}: failed after one retry", "requests", lost, 0)
    found.notes.append(f"{name}: {asked:,} requests were sent.")


def _cut(front: Front) -> None:
    holder = front.holder()
    front.lab.cut(holder)
    wait_for(lambda: not holder.has(FLOATING), what="the address gone from the one that is cut off")
    time.sleep(2)
    front.lab.heal(holder)


def _kill(front: Front) -> None:
    holder = front.holder()
    holder.kill("nginx")
    wait_for(lambda: not holder.has(FLOATING) and not script_pids(holder), what="the address elsewhere")
    front.start_nginx(holder)


def _drain(front: Front) -> None:
    holder = front.holder()
    holder.run("kill", "-TERM", *script_pids(holder))
    wait_for(lambda: not holder.pids("nginx"), what="nginx ended")
    front.start_nginx(holder)
