"""One recording, from a fresh machine to its bundle: `python -m …inside NAME FOLDER WORK`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.incidents.bundle import write_bundle
from tests.incidents.record import noise, servers
from tests.incidents.record.actions import Actions
from tests.incidents.record.recorder import Recorder
from tests.incidents.record.scenario import SCENARIOS, Scenario
from tests.incidents.record.watching import watch
from tests.incidents.record.world import World, say, wait_until

WARM = 26
"""Seconds before the window: rates over 20 s need them."""
QUIET = 75
"""Seconds of the window before the fault."""
AFTER = 40
"""Seconds of the window after the alert fires."""


def machine(scenario: Scenario, world: World) -> None:
    """Start what runs on the recorded machine before anything happens."""
    world.set_up()
    for path, options in scenario.disks.items():
        world.disk(path, *options.split(), owner="mysql" if path == "/var/lib/mysql" else "www-data")
    servers.lay_out(world)
    servers.outside(world, "dns1", "dns", "127.0.0.53")
    servers.outside(world, "dns2", "dns", "127.0.0.54")
    servers.redis(world, *scenario.redis)
    replicated = "replica" in scenario.runs
    servers.mariadb(world, *(("--log-bin=bin", "--server-id=1", "--binlog-format=row") if replicated else ()))
    if replicated:
        servers.mariadb(world, "--server-id=2", name="replica", address="127.0.0.13")
    servers.ready(world)
    if "payments" in scenario.runs:
        servers.outside(world, "psp", "psp")
    names = [name for name in ("shop", "auth", *scenario.runs) if name in servers.PORTS]
    urls = {name: f"http://127.0.0.1:{servers.PORTS[name]}" for name in names if name in servers.CALLED}
    for name in names:
        settings: dict[str, Any] = {"urls": urls} if name == "shop" else {}
        servers.service(world, name, settings=settings, **scenario.limits.get(name, {}))
    servers.nginx(world, scenario.worker_connections)
    Actions(world).perform(scenario.before)
    watch(world, scenario.probes)
    servers.outside(
        world, "customers", "customers", str(scenario.rate), "https" if scenario.https else "http"
    )


def record(scenario: Scenario, folder: Path, work: Path) -> None:
    """Cause the fault of a scenario, and write what the machine showed.

    Raises TimeoutError where its alert does not fire, AssertionError where it fires too early.
    """
    world = World(work)
    try:
        machine(scenario, world)
        recorder = Recorder(world)
        noise.begin(world)
        wait_until(lambda: recorder.orders() > 3, "the shop takes no orders", 180)
        time.sleep(WARM)
        assert not (early := recorder.firing(scenario.alert)), early
        start = datetime.now(UTC)
        time.sleep(QUIET - noise.LEAD)
        noise.unrelated(world, scenario)
        time.sleep(noise.LEAD)
        say(f"{scenario.name}: the fault begins")
        Actions(world).perform(scenario.fault)
        wait_until(lambda: bool(recorder.firing(scenario.alert)), f"{scenario.alert} does not fire", 150)
        firing = recorder.firing(scenario.alert)
        assert firing is not None
        say(f"{scenario.name}: {scenario.alert} fires")
        time.sleep(AFTER)
        material = recorder.material(firing, start, datetime.now(UTC), scenario.unread)
    except BaseException:
        explain(world)
        raise
    finally:
        world.end()
    write_bundle(folder, material, scenario.answer())


def explain(world: World) -> None:
    """Show the ends of all logs: why a recording failed."""
    for line in world.lines[-40:]:
        print(line.at.time(), line.service, line.text[:200])
    for file in [*Path("/var/log").glob("*/*.log"), *Path("/var/log").glob("*.log")]:
        print(f"== {file}", *file.read_text(errors="replace").splitlines()[-6:], sep="\n")


if __name__ == "__main__":
    record(SCENARIOS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]))
