"""Redis: how long nobody can write when the master is lost, and what is lost of what was written.

Twenty writes a second by the app's own client, each of which waits for a replica; where the master is cut
off, plain ones beside it, which wait for none. Three Redis and three Sentinels, with TLS and logins, are
started by the scripts that the stack starts them by.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import redis
from redis_machines import NAMES, RedisLab, redis_machines

from techsapo_ops.services.redis.switchover import switch
from techsapo_ops.stores.redis_link import RedisLink
from tests.swarm.figures import Figures
from tests.swarm.ground import Ground

_WRITES = 400
_EVERY = 0.05


def prove(ground: Ground, found: Figures) -> None:
    """Kill the master, cut it off, switch it over; each some times."""
    with tempfile.TemporaryDirectory(prefix="techsapo-redis-") as folder, redis_machines(Path(folder)) as lab:
        for name, fault in (
            ("master killed", _kill),
            ("master's machine cut off", _cut),
            ("switched over", _switch),
        ):
            _tried(lab, name, fault, ground.cuts, found)


def _tried(
    lab: RedisLab, name: str, fault: Callable[[RedisLab, str], None], times: int, found: Figures
) -> None:
    gaps, lost, alone = [], [], []
    for number in range(times):
        _repaired(lab)
        old = lab.master()
        near = next(each for each in NAMES if each != old)
        gap, missing, taken = _around(lab, f"{name} {number}", (old, near), fault)
        gaps.append(gap)
        lost.append(missing)
        alone.append(taken)
    _repaired(lab)
    found.add(f"{name}: longest time without a confirmed write", "s", gaps, 5)
    found.add(f"{name}: confirmed writes lost", "writes", lost, 0)
    if fault is _cut:
        found.add(f"{name}: plain writes that the isolated one went on to take", "s", alone, 4)


def _around(
    lab: RedisLab, run: str, machines: tuple[str, str], fault: Callable[[RedisLab, str], None]
) -> tuple[float, int, float]:
    """Seconds without a write, confirmed writes that are not there, seconds of plain ones at the old one."""
    old, near = machines
    names = [f"techsapo:{run}:{n}" for n in range(_WRITES)]
    confirmed: dict[str, float] = {}

    async def main() -> tuple[set[str], float]:
        link = RedisLink(lab.server(near), "proof")

        async def write(n: int) -> None:
            await asyncio.sleep(n * _EVERY)
            await link.confirmed(lambda pipe: pipe.set(names[n], n), patience=30)
            confirmed[names[n]] = time.monotonic()

        async def strike() -> float:
            await asyncio.sleep(2)
            began = time.monotonic()
            await asyncio.to_thread(fault, lab, old)
            taken = (
                await asyncio.to_thread(lab.within, lambda: _plain(lab, old), old) if fault is _cut else began
            )
            return taken - began

        striking = asyncio.create_task(strike())
        await asyncio.gather(*(write(n) for n in range(_WRITES)))
        taken = await striking
        there = await link.call(lambda client: client.mget(names))
        await link.close()
        return {name for name, value in zip(names, there, strict=True) if value is not None}, taken

    there, taken = lab.asyncio(main)
    times = sorted(confirmed.values())
    return max(b - a for a, b in pairwise(times)), len(set(confirmed) - there), taken


def _plain(lab: RedisLab, old: str) -> float:
    """When the isolated master took its last plain write; it is asked for eight seconds."""
    last = time.monotonic()
    until = last + 8
    with lab.client(old) as link:
        while time.monotonic() < until:
            try:
                link.incr("techsapo:alone")
                last = time.monotonic()
            except redis.RedisError:
                pass
            time.sleep(_EVERY)
    return last


def _kill(lab: RedisLab, old: str) -> None:
    lab.kill(f"redis-{old}")


def _cut(lab: RedisLab, old: str) -> None:
    lab.pull(old)


def _switch(lab: RedisLab, old: str) -> None:
    assert switch(lab.topology, lab.door_to).old.name == f"redis-{old}"


def _repaired(lab: RedisLab) -> None:
    for name in NAMES:
        lab.plug(name)
        if f"redis-{name}" not in lab.running:
            lab.start(f"redis-{name}")
    lab.until_whole()
