"""One host, for comparison: the same load while kill -9 hits an app instance, nginx, Redis.

Nothing of it needs several machines; each is started again by the one supervisor that there is.
"""

from __future__ import annotations

import os
import signal

from projects import Project, project, small_spec
from servers import free_port, wait_for

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground
from tests.swarm.load import Load
from tests.swarm.traffic import asking

VICTIMS = ("app-1", "nginx", "redis")


def prove(ground: Ground, found: Figures) -> None:
    """Kill each in turn under the load that the three machines get."""
    spec = small_spec(project="alone")
    spec["nginx"]["enabled"] = True
    spec["app"] = {"drain": "0s", "instances": [{"port": free_port()}, {"port": free_port()}]}
    with project(spec) as stack:
        stack.run("up", timeout=300)
        for victim in VICTIMS:
            _killed(stack, victim, ground.cuts, found)


def _killed(stack: Project, victim: str, cuts: int, found: Figures) -> None:
    gaps, firsts, failed, doubled = [], [], [], []
    key = (stack.state / "keys/app-key").read_text(encoding="ascii").strip()
    for number in range(cuts):
        load = Load(
            f"http://127.0.0.1:{stack.spec['nginx']['listen']}", key=key, prefix=f"{victim}-{number}-"
        )
        with asking(load) as traffic:
            traffic.flows(20)
            pid = stack.pids()[victim]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda old=pid: stack.pids()[victim] not in {old, None}, what=f"{victim} again")
            traffic.flows(60)
        outcome = traffic.outcome()
        gaps.append(outcome.gap.seconds)
        firsts.append(traffic.failed_first())
        failed.append(outcome.failed_count)
        doubled.append(len(outcome.doubled))
    found.add(f"{victim} killed: longest gap", "s", gaps)
    found.add(f"{victim} killed: failed at the first try", "requests", firsts)
    found.add(f"{victim} killed: failed after one retry", "requests", failed)
    found.add(f"{victim} killed: carried out twice", "requests", doubled)
