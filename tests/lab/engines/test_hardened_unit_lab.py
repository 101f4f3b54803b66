"""techsapo.service takes away what the stack does not need: a stack of every kind runs without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from projects import Project, project, small_spec
from restricted import Restricted, directives
from servers import free_port

pytestmark = pytest.mark.lab

UNIT = "generated/systemd/techsapo.service"
REFUSED = {
    "a namespace": "import ctypes, os; os._exit(0 if ctypes.CDLL(None).unshare(0x40000000) == 0 else 1)",
    "a raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a packet socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a change of the clock": "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())",
    "a set-uid file": "import os, tempfile; os.chmod(tempfile.mkstemp()[1], 0o4755)",
    "a file below /etc": "open('/etc/techsapo-restricted', 'w')",
    "a kernel setting": "open('/proc/sys/kernel/hostname', 'w').write('x')",
    "a host name": "import socket; socket.sethostname('x')",
    "real-time scheduling": "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "a device": "import os; os.mknod('/tmp/techsapo-restricted', 0o600 | 0o020000, os.makedev(1, 1))",
    "the kernel's messages": "open('/dev/kmsg')",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    """A stack of every kind that this host has, brought up under the restrictions of its own unit."""
    spec = small_spec(mysql={"port": free_port()})
    spec["nginx"]["enabled"] = True
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    spec["monitoring"]["exporters"] = {name: free_port() for name in spec["monitoring"]["exporters"]}
    with project(spec) as made:
        made.run("config", "generate")
        hardened = replace(made, launcher=Restricted(made.state / UNIT).launcher)
        hardened.run("up", "--yes", timeout=180)
        yield hardened
        hardened.run("down", "--yes")


def test_the_unit_exposes_little_by_systemd_s_own_measure(stack: Project) -> None:
    argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(stack.state / UNIT)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Overall exposure level for techsapo\.service: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= 4.5


def test_every_kind_of_service_is_well_under_the_restrictions(stack: Project) -> None:
    replace(stack, launcher=()).well()  # under the restrictions one Python takes a second to start
    health = stack.health()
    assert health["status"] == "healthy"
    assert len({probe["name"] for probe in health["probes"]}) >= 10


def test_backups_and_their_proof_work_under_the_restrictions(stack: Project) -> None:
    stack.run("backup", timeout=180)
    stack.run("backup", "verify", "--deep", timeout=180)


TRIED = """
import json, os, sys

ended = {}
for what, code in json.loads(sys.argv[1]).items():
    if not (child := os.fork()):
        try:
            exec(code)
        except BaseException:
            os._exit(1)
        os._exit(0)
    ended[what] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""
"""Tries each in a process of its own: under the restrictions one Python takes a second to start."""


def test_what_the_unit_takes_away_is_refused_there(stack: Project) -> None:
    tried = {**REFUSED, "nothing that is refused": "import socket; socket.create_server(('127.0.0.1', 0))"}
    argv = [*stack.launcher, sys.executable, "-c", TRIED, json.dumps(tried)]
    inside = subprocess.run(argv, capture_output=True, text=True, cwd="/", check=True)
    assert json.loads(inside.stdout) == {**dict.fromkeys(REFUSED, 1), "nothing that is refused": 0}
    assert not Path("/etc/techsapo-restricted").exists()


def test_a_port_below_1024_can_still_be_bound(stack: Project) -> None:
    assert "CAP_NET_BIND_SERVICE" in directives((stack.state / UNIT).read_text())["CapabilityBoundingSet"]
