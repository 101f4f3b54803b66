"""The lab of three machines: what its faults do to a service, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rows import each_row
from servers import wait_for
from swarm_images import home
from swarm_lab import HOSTS, SwarmLab, swarm_lab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes networks and starts Docker daemons: needs root"),
]

PORT = 6390
LISTENS = ("redis-server", "--port", str(PORT), "--protected-mode", "no", "--save", "")


@pytest.fixture(scope="module")
def swarm() -> Iterator[SwarmLab]:
    """Three machines with one service, on each of them, on the machine's own address."""
    with swarm_lab(small_disks={"c": 64}) as lab:
        lab.docker(
            "b", "service", "create", "--quiet", "--detach", "--name", "global", "--mode", "global",
            "--network", "host", "--no-resolve-image", lab.images["redis"], *LISTENS,
        )  # fmt: skip
        everywhere(lab)
        yield lab
    assert left_of(lab.folder) == []


def everywhere(lab: SwarmLab) -> None:
    for machine in lab.machines.values():
        wait_for(
            lambda m=machine: lab.reaches("", m.address, PORT), timeout=90, what=f"redis on {machine.name}"
        )


def left_of(folder: Path) -> list[str]:
    groups, group = Path("/sys/fs/cgroup"), f"techsapo-{folder.name}*"
    found = [path for path in (folder, *groups.glob(group), *groups.glob(f"*/{group}")) if path.exists()]
    return [str(each) for each in (*found, *processes_of(folder))]


def processes_of(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


def test_a_global_service_stands_on_three_machines_that_are_managers(swarm: SwarmLab) -> None:
    assert swarm.nodes("c") == dict.fromkeys(HOSTS, "Ready")
    assert swarm.leader("b") in HOSTS
    for host in HOSTS:
        assert len(swarm.containers(host, "global")) == 1
        named = subprocess.run([*swarm.enter(host), "hostname"], capture_output=True, text=True, check=True)
        assert named.stdout.strip() == host
    assert swarm.memory()["redis-server"] > 0


def test_a_machine_is_reached_by_ssh_from_another(swarm: SwarmLab) -> None:
    there = swarm.spec(by_ssh=True)["hosts"]["b"]["docker"]
    asked = (*swarm.enter("a"), "docker", "-H", there, "info", "--format", "{{.Name}}")
    done = subprocess.run(asked, env={**os.environ, **swarm.ssh}, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("b", "")


@each_row("fault", ["cut", "mute"])
def test_a_machine_that_is_cut_off_is_reached_again_when_it_is_healed(swarm: SwarmLab, fault: str) -> None:
    there = swarm.machines["b"].address
    before = swarm.containers("b", "global")

    getattr(swarm, fault)("b")
    try:
        assert not swarm.reaches("", there, PORT)
        assert not swarm.reaches("b", swarm.machines["a"].address, PORT)
        assert swarm.reaches("a", swarm.machines["c"].address, PORT)
        carrier = subprocess.run(
            [*swarm.enter("b"), "ip", "-brief", "link", "show", "eth0"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("LOWER_UP" in carrier.stdout) == (fault == "mute")
    finally:
        swarm.heal("b")

    everywhere(swarm)
    assert swarm.containers("b", "global") == before


def test_a_machine_without_power_has_no_process_and_comes_back_with_its_disk(swarm: SwarmLab) -> None:
    processes, enter = swarm.machines["c"].processes(), swarm.enter("c")

    swarm.kill("c")
    assert not any(process.is_running() for process in processes)
    assert not swarm.reaches("", swarm.machines["c"].address, PORT)

    swarm.start("c")
    named = subprocess.run([*enter, "hostname"], capture_output=True, text=True, check=True)
    assert named.stdout.strip() == "c"
    everywhere(swarm)
    swarm.settled()


def test_the_volumes_of_one_machine_fill_and_the_others_do_not(swarm: SwarmLab) -> None:
    run = ("run", "--rm", "--volume", "some:/data", swarm.images["redis"])
    write = ("sh", "-c", "head -c 8M /dev/zero >/data/file")
    swarm.docker("c", "volume", "create", "some")

    with swarm.full("c"):
        assert "No space left" in swarm.docker("c", *run, *write, check=False).stderr
        swarm.docker("b", *run, *write)

    swarm.docker("c", *run, *write)


KILLED = """
import sys, time
sys.path[:0] = [{here!r}, {repository!r}]
from swarm_lab import swarm_lab
with swarm_lab(("alone",)) as lab:
    print(lab.folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_lab_left_is_removed_by_the_next(repository: Path) -> None:
    program = KILLED.format(here=str(Path(__file__).parents[1]), repository=str(repository))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.parent == home()
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: processes_of(folder) == [], what="the end of its machine")
    assert left_of(folder) != []

    with swarm_lab(("next",), joined=False):
        assert left_of(folder) == []
