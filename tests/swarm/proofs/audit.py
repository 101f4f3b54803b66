"""The audit database: how long its rows wait for a lost member, and how many are lost.

An app writes twenty rows a second to its own host's member of three, each on a network of its own and started
by the script that the stack starts it by. An acknowledged row is on the app's disk; the stall is the longest
time without one that reaches the database.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from galera_apps import app, rows
from galera_lab import Cluster, cluster, three_machines
from servers import wait_for

from techsapo_ops.render.templates import Templates
from tests.swarm.figures import Figures
from tests.swarm.ground import Ground


def prove(ground: Ground, found: Figures) -> None:
    """Kill the own member, cut another one off, cut the own one off, kill all; each some times."""
    with tempfile.TemporaryDirectory(prefix="techsapo-audit-") as folder:
        place = Path(folder)
        with cluster(three_machines(place), Templates()) as members:
            members.seed()
            members.start()
            members.wait()
            for name, fault, most in (
                ("own member killed", _kill_own, 5.0),
                ("another member cut off", _cut_another, 5.0),
                ("two of three killed", _kill_two, None),
                ("all three killed", _kill_all, 20.0),
                ("another member killed while it takes a full copy", _kill_copying, None),
            ):
                _tried(members, place / name.replace(" ", "-"), (name, fault, most), ground.cuts, found)


def _tried(
    members: Cluster,
    folder: Path,
    kind: tuple[str, Callable[[Cluster], None], float | None],
    cuts: int,
    found: Figures,
) -> None:
    name, fault, most = kind
    stalls, lost, acknowledged = [], [], 0
    for number in range(cuts):
        (place := folder / str(number)).mkdir(parents=True)
        with app(place, members, 0) as writing:
            since = time.time()
            fault(members)
            writing.more(60)
            stalls.append(writing.stall(since))
            members.wait()
            writing.end()
        there = [set(rows(member)) for member in members.members]
        acked = set(writing.acked())
        acknowledged += len(acked)
        lost.append(max(len(acked - each) for each in there))
    found.add(f"{name}: longest time without a row in the database", "s", stalls, most)
    found.add(f"{name}: acknowledged rows lost", "rows", lost, 0)
    found.notes.append(f"{name}: {acknowledged:,} rows were acknowledged.")


def _kill_own(members: Cluster) -> None:
    members.members[0].kill()
    time.sleep(0.5)
    members.members[0].start()


def _cut_another(members: Cluster) -> None:
    other = members.members[1]
    other.cut()
    time.sleep(8)
    other.cut(off=False)


def _kill_two(members: Cluster) -> None:
    """The third is left without a majority, and has to see that they wait for it."""
    for member in members.members[1:]:
        member.kill()
    time.sleep(0.5)
    for member in members.members[1:]:
        member.start()


def _kill_copying(members: Cluster) -> None:
    """On a new disk, killed half way, and started again."""
    other = members.members[2]
    other.stop()
    for each in other.data.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    other.start()
    wait_for((other.data / ".sst").is_dir, timeout=240, what="a full copy under way")
    other.kill()
    other.start()


def _kill_all(members: Cluster) -> None:
    for member in members.members:
        member.kill()
    time.sleep(0.5)
    members.start()
