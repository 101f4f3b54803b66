"""One recording, from a fresh machine to its bundle: `python -m tests.incidents.record.inside NAME FOLDER WORK`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.incidents.bundle import Answer, Decisive, write_bundle
from tests.incidents.record import noise, servers
from tests.incidents.record.recorder import Recorder
from tests.incidents.record.scenario import Scenario
from tests.incidents.record.scenarios import SCENARIOS
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
    for path, megabytes, *options in scenario.disks:
        owner = (
            "mysql"
            if path == "/var/lib/mysql"
            else "root"
            if path.startswith("/var/log/nginx")
            else "www-data"
        )
        world.disk(path, megabytes, *options, owner=owner)
    servers.lay_out(world)
    for name in ("dns1", "dns2"):
        servers.outside(world, name, "dns", {"dns1": "127.0.0.53", "dns2": "127.0.0.54"}[name])
    runs = scenario.services
    servers.redis(world, *scenario.redis)
    logged = ("--log-bin=bin", "--server-id=1", "--binlog-format=row") if "replica" in runs else ()
    servers.mariadb(world, extra=logged)
    if "replica" in runs:
        servers.mariadb(world, "replica", 3306, "127.0.0.13", ("--server-id=2",))
    servers.ready(world)
    if "payments" in runs:
        servers.outside(world, "psp", "psp")
    urls = {
        name: f"http://127.0.0.1:{servers.PORTS[name]}"
        for name in ("auth", "stock", "payments", "reviews")
        if name in ("auth", *runs)
    }
    for name in ("shop", "auth", *runs):
        if name in servers.PORTS:
            more: dict[str, Any] = {"settings": {"urls": urls}} if name == "shop" else {}
            servers.service(world, name, **{**more, **scenario.limits.get(name, {})})
    servers.nginx(world, **scenario.nginx)
    if scenario.prepare:
        scenario.prepare(world)
    servers.watching(world, scenario.probes)
    servers.customers(world, scenario.rate, "https" if scenario.https else "http")


def record(scenario: Scenario, folder: Path, work: Path) -> None:
    """Cause the fault of a scenario, and write what the machine showed. Raises TimeoutError where no alert fires."""
    world = World(work)
    try:
        machine(scenario, world)
        recorder = Recorder(world)
        noise.begin(world, scenario)
        time.sleep(WARM)
        assert not (early := recorder.firing(scenario.alert)), early
        assert recorder.orders() > 5, "the shop takes no orders"
        start = datetime.now(UTC)
        time.sleep(QUIET - noise.LEAD)
        noise.unrelated(world, scenario)
        time.sleep(noise.LEAD)
        say(f"{scenario.name}: the fault begins")
        scenario.fault(world)
        wait_until(
            lambda: recorder.firing(scenario.alert) is not None, f"{scenario.alert} does not fire", 150
        )
        firing = recorder.firing(scenario.alert)
        assert firing is not None
        say(f"{scenario.name}: {scenario.alert} fires")
        if scenario.then:
            scenario.then(world)
        time.sleep(AFTER)
        material = recorder.material(firing, start, datetime.now(UTC), scenario.unread)
    except BaseException:
        explain(world)
        raise
    finally:
        world.end()
    decisive = tuple(Decisive(kind, contains) for kind, contains in scenario.decisive)
    answer = Answer(
        scenario.outcome, scenario.cause, scenario.service, scenario.chain, decisive, scenario.distractors
    )
    write_bundle(folder, material, answer)


def explain(world: World) -> None:
    """Show the ends of all logs: why a recording failed."""
    for line in world.lines[-40:]:
        print(line.at.time(), line.service, line.text[:200])
    for file in [*Path("/var/log").glob("*/*.log"), *Path("/var/log").glob("*.log")]:
        print(f"== {file}", *file.read_text(errors="replace").splitlines()[-6:], sep="\n")


if __name__ == "__main__":
    record(SCENARIOS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]))
