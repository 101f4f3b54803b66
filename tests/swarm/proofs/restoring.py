"""A restore while a host is cut off: before it has begun, and while Redis is being stopped.

Docker answers all the time, as over another network: the commands go by sockets. What is restored lacks ids
and rows that were added since; whatever happens, none of those may be lost.
"""

from __future__ import annotations

import time

from projects import Project
from swarm_lab import HOSTS, SwarmLab

from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, Ground
from tests.swarm.proofs.moving import Moved

_AWAY = "c"


def prove(ground: Ground, found: Figures) -> None:
    """Cut a host off, and see what a restore does."""
    lab, moved = ground.lab, Moved(ground.stack)
    moved.add()
    moved.project.run("backup", timeout=300)
    moved.add()
    moved.well(moved.project)
    there = [f"{kind}-{host}" for host in HOSTS for kind in ("redis", "mysql")]
    lab.cut(_AWAY)
    time.sleep(5)
    seconds, said = _restore(moved.project)
    assert "nothing was touched" in said, said
    found.add("cut off before: until it is refused", "s", [seconds], 60)
    found.add("cut off before: apps that do not run", "", [_off(lab)], 0)
    lab.heal(_AWAY)
    moved.well(moved.project)
    found.add("cut off before: lost", "ids and rows", [moved.missing(*there)], 0)
    seconds, said = _restore(moved.project, lab)
    print(said)
    found.add("cut off while Redis is stopped: until it has ended", "s", [seconds])
    found.add("cut off while Redis is stopped: apps that do not run", "", [_off(lab)], 0)
    lab.heal(_AWAY)
    lab.settled()
    moved.well(moved.project)  # Swarm starts the app there, once it hears of it
    found.add("cut off while Redis is stopped: lost", "ids and rows", [moved.missing(*there)], 0)


def _restore(project: Project, cut: SwarmLab | None = None) -> tuple[float, str]:
    """What a restore that fails says, and after how many seconds; with `cut` a host is cut off meanwhile."""
    began = time.monotonic()
    restoring = project.popen("restore", "latest", "--yes")
    assert restoring.stderr is not None
    heard = []
    for line in restoring.stderr:
        heard.append(line)
        if cut is not None and "restoring redis" in line:
            cut.cut(_AWAY)
            began = time.monotonic()
    restoring.communicate()
    assert restoring.returncode == 1, "".join(heard)
    return time.monotonic() - began, "".join(heard)


def _off(lab: SwarmLab) -> int:
    """Apps of the hosts that are not cut off that do not run."""
    return sum(not lab.containers(host, f"{PROJECT}_app-") for host in HOSTS if host != _AWAY)
