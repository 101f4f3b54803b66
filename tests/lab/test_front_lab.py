"""The front of three machines: the generated keepalived and nginx for real, in namespaces.

Debian's nginx looks names up once; that it does so again while it runs is tried in `make swarm-lab`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from front_machines import Bare, Segment, segment
from machines import NETWORK
from servers import binary, wait_for
from stacks import rendered, spec, topology

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with networks of their own need root"),
]
HERE = Path(__file__).parent
FLOATING = f"{NETWORK}.100"
PORT = 8080
STEADY = 15
"""How often the same is to be seen: longer than the others wait for signs of life."""


@dataclass
class Front:
    """Three machines, each with an app, nginx and keepalived, started from the generated files."""

    lab: Segment

    def start_nginx(self, machine: Bare, shell: str = "sh") -> subprocess.Popen[bytes]:
        """Start nginx by its script, and wait until it answers."""
        folder = machine.folder / "etc/techsapo/nginx"
        process = machine.start(
            shell, f"{folder}/start.sh", binary("nginx"), "-p", str(machine.folder / "data"),
            "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", "daemon off;", log="nginx.log",
        )  # fmt: skip
        wait_for(lambda: self.asked(machine, "nginx-front") == "200", what=f"nginx of {machine.name}")
        return process

    def start_keepalived(self, machine: Bare) -> None:
        """Start keepalived by its script."""
        machine.run("mkdir", "-p", "/run/keepalived")
        machine.start("sh", f"/etc/techsapo/keepalived/{machine.name}/start.sh", log="keepalived.log")

    def asked(self, machine: Bare, path: str, address: str = "") -> str:
        """The status with which an nginx answers, as a client sees it."""
        url = f"http://{address or machine.address}:{PORT}/{path}"
        done = self.lab.client.run(
            "curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url, check=False
        )
        return done.stdout

    @property
    def holders(self) -> list[str]:
        """The machines that have the address."""
        return [m.name for m in self.lab.machines if m.has(FLOATING)]

    def holder(self) -> Bare:
        """The one that has it, once that is one and it answers."""
        wait_for(
            lambda: len(self.holders) == 1 and self.asked(self.lab.client, "ping", FLOATING) == "200",
            what=f"one holder; {self.logs()}",
        )
        return next(m for m in self.lab.machines if m.name == self.holders[0])

    def others(self, machine: Bare) -> list[Bare]:
        """The other machines."""
        return [m for m in self.lab.machines if m is not machine]

    def state(self, machine: Bare) -> str:
        """What keepalived has noted of itself."""
        return machine.read("/run/keepalived/state").strip()

    def all_ready(self) -> Bare:
        """Wait until one has the address, the others would take it, and it stays so; the one that has it."""
        seen: list[tuple[list[str], list[str]]] = []

        def steady() -> bool:
            seen.append((self.holders, [self.state(m) for m in self.lab.machines]))
            held, states = seen[-1]
            in_line = len(held) == 1 and sorted(states) == ["BACKUP", "BACKUP", "MASTER"]
            return in_line and len(seen) >= STEADY and all(one == seen[-1] for one in seen[-STEADY:])

        wait_for(steady, what=f"one MASTER and two BACKUP; {self.logs()}")
        return self.holder()

    def logs(self) -> str:
        """The end of what keepalived said everywhere."""
        found = ((m.name, (m.folder / "keepalived.log")) for m in self.lab.machines)
        return "\n".join(f"{name}: {log.read_text()[-800:]}" for name, log in found if log.exists())

    @contextmanager
    def load(self, rate: float = 20.0) -> Iterator[list[dict[str, Any]]]:
        """Requests to the address from before the block until after it, and then what came of each."""
        client, lines = self.lab.client, list[dict[str, Any]]()
        asked = client.folder / "asked.jsonl"
        asked.unlink(missing_ok=True)
        process = client.start(
            sys.executable, str(HERE / "front_load.py"), FLOATING, str(PORT), str(rate), log=asked.name
        )
        try:
            wait_for(lambda: asked.read_text().count("\n") > rate, what="the load's first second")
            yield lines
            more = asked.read_text().count("\n") + rate
            wait_for(lambda: asked.read_text().count("\n") > more, what="a second more of it")
        finally:
            # It is in a namespace of its own: nsenter does not hand a signal on.
            client.kill(Path(sys.executable).name, "TERM")
            process.wait(60)
        lines += [json.loads(line) for line in asked.read_text().splitlines()]


def failed(lines: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Those whose `first` or `last` try was not answered."""
    return [line for line in lines if line[word] != "200"]


def gap(lines: list[dict[str, Any]]) -> float:
    """The longest time between two answers to first tries."""
    over = sorted(line["over"] for line in lines if line["first"] == "200")
    return max((after - before for before, after in pairwise(over)), default=0.0)


def tell(what: str, lines: list[dict[str, Any]]) -> None:
    """Print what it was like for clients; shown with `-s`, and where a test fails."""
    first, last = failed(lines, "first"), failed(lines, "last")
    print(f"{what}: gap {gap(lines):.2f} s; of {len(lines)} {len(first)} failed, {len(last)} twice")


def write_files(lab: Segment) -> None:
    """Give each machine the generated files, as containers would have them."""
    hosts = {m.name: {"address": m.address, "docker": f"ssh://ops@{m.name}"} for m in lab.machines}
    wanted = spec(
        engine="swarm", hosts=hosts, floating_address=f"{FLOATING}/24", mysql={}, nginx={"listen": PORT},
        app={"instances": [{"port": 4000, "weight": 2}, {"port": 4001}]}, edition=2,
    )  # fmt: skip
    files = rendered(wanted, topology(wanted, lab.client.folder, "swarm"))
    for machine in lab.machines:
        data = machine.folder / "data"
        data.mkdir(mode=0o777)
        data.chmod(0o777)
        for path, file in files.items():
            inside = path.removeprefix("swarm/config/")
            if inside.split("/")[0] not in {"nginx", "keepalived"}:
                continue
            target = machine.folder / "etc/techsapo" / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(as_here(file.content, data))
            target.chmod(file.mode)
        names = "".join(f"{other.address} app-1 app-2\n" for other in lab.machines)
        (machine.folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n{names}")


def as_here(content: str, data: Path) -> str:
    """A generated file with what only the images have in place of it: a data folder, a newer nginx."""
    kept = (line for line in content.splitlines(keepends=True) if not line.strip().startswith("resolver"))
    return (
        "".join(kept)
        .replace(" resolve weight=", " weight=")
        .replace("=/data/", f"={data}/")
        .replace("-f /data/", f"-f {data}/")
    )


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with ExitStack() as stack:
        # Not below pytest's own folder, which the workers of nginx may not enter.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="techsapo-front-")))
        folder.chmod(0o755)
        lab = stack.enter_context(segment(folder))
        write_files(lab)
        made = Front(lab)
        for machine in lab.machines:
            machine.start(
                sys.executable,
                str(HERE / "front_app.py"),
                machine.address,
                "4000",
                machine.name,
                log="app.log",
            )
            made.start_nginx(machine)
        for machine in lab.machines:
            made.start_keepalived(machine)
        yield made


def test_one_machine_has_the_address_and_users_reach_the_app_by_it(front: Front) -> None:
    holder = front.all_ready()
    assert front.asked(front.lab.client, "ping", FLOATING) == "200"
    assert front.holders == [holder.name]


def test_a_cut_holder_loses_the_address_to_another_and_gets_nothing_back(front: Front) -> None:
    holder = front.all_ready()
    others = front.others(holder)
    with front.load() as lines:
        front.lab.cut(holder)
        try:
            wait_for(lambda: any(m.has(FLOATING) for m in others), what=f"another holder; {front.logs()}")
            after = next(m for m in others if m.has(FLOATING))
            # Cut off it must not go on as if it had the address: users beside it would be served by it alone.
            wait_for(lambda: not holder.has(FLOATING), what=f"the cut one without it; {front.logs()}")
            wait_for(lambda: front.state(holder) == "FAULT", what="the cut one out of the game")
            wait_for(lambda: front.asked(front.lab.client, "ping", FLOATING) == "200", what="an answer")
        finally:
            front.lab.heal(holder)
        wait_for(lambda: front.state(holder) == "BACKUP", what=f"the healed one back in line; {front.logs()}")
        assert front.holders == [after.name], "what came back took the address"
    tell("the holder cut off", lines)
    assert failed(lines, "last") == []
    assert len(lines) > 20


def test_nginx_that_was_told_to_stop_loses_no_request(front: Front) -> None:
    holder = front.all_ready()
    with front.load(40.0) as lines:
        holder.run("kill", "-TERM", *script_pids(holder))
        wait_for(lambda: front.asked(holder, "nginx-front") == "410", what="draining said")
        wait_for(lambda: not holder.has(FLOATING), what=f"the address elsewhere; {front.logs()}")
        moved = time.time()
        assert front.asked(holder, "ping") == "200", "it serves on while it drains"
        wait_for(lambda: not holder.pids("nginx"), what="nginx ended")
        front.start_nginx(holder)
        front.all_ready()
    tell("nginx told to stop", lines)
    # Behind Docker's NAT answers still leave the old machine then; a process without it has lost its address.
    under_way = [line for line in failed(lines, "first") if line["at"] < moved]
    assert failed(lines, "first") == under_way
    assert {line["first"] for line in under_way} <= {"TimeoutError", "ConnectionResetError"}, (
        "nobody was refused"
    )
    assert failed(lines, "last") == []
    assert len(lines) > 40


def script_pids(machine: Bare) -> list[str]:
    """The pids of nginx's start script."""
    lines = machine.run("ps", "-eo", "pid=,args=").stdout.splitlines()
    return [line.split()[0] for line in lines if "nginx/start.sh" in line and "nsenter" not in line]


def test_a_dead_nginx_takes_the_address_away_and_its_return_brings_nothing_back(front: Front) -> None:
    holder = front.all_ready()
    with front.load() as lines:
        holder.kill("nginx")
        wait_for(lambda: not holder.has(FLOATING), what=f"the address elsewhere; {front.logs()}")
        wait_for(lambda: not script_pids(holder), what="its script ended with it")
        after = front.holder()
        front.start_nginx(holder)
        wait_for(lambda: front.state(holder) == "BACKUP", what="back in line")
        assert front.holders == [after.name]
    tell("nginx killed", lines)
    assert failed(lines, "last") == []


def test_the_address_that_a_killed_keepalived_left_behind_is_taken_away_at_its_start(front: Front) -> None:
    holder = front.all_ready()
    holder.kill("keepalived")
    wait_for(lambda: len(front.holders) == 2, what=f"another one beside what was left; {front.logs()}")
    assert holder.name in front.holders, "nobody was left to take it away"
    front.start_keepalived(holder)
    wait_for(lambda: not holder.has(FLOATING), what=f"it gone from {holder.name}; {front.logs()}")
    assert front.all_ready() is not holder
    assert "it was left there" in (holder.folder / "keepalived.log").read_text()


def test_a_worker_of_keepalived_that_dies_leaves_no_second_holder(front: Front) -> None:
    holder = front.all_ready()
    worker = holder.run("cat", "/run/keepalived/vrrp.pid").stdout.strip()
    holder.run("kill", "-KILL", worker)
    wait_for(
        lambda: holder.run("cat", "/run/keepalived/vrrp.pid").stdout.strip() != worker, what="another worker"
    )
    front.all_ready()
    assert len(front.holders) == 1


def test_the_check_asks_the_machines_own_nginx_and_one_peer(front: Front) -> None:
    front.all_ready()
    machine = front.lab.machines[2]
    check = f"/etc/techsapo/keepalived/{machine.name}/check.sh"
    peers = [m.address for m in front.others(machine)]

    def passes() -> bool:
        return machine.run(check, check=False).returncode == 0

    assert passes(), "two peers whose kernels refuse: nothing listens on Swarm's port here"
    unreachable = [("ip", "route", "add", "blackhole", f"{peer}/32") for peer in peers]
    machine.run(*unreachable[0])
    assert passes(), "one peer is enough"
    machine.run(*unreachable[1])
    try:
        assert not passes(), "none is too few"
        assert "no other machine answers" in machine.run(check, check=False).stdout
    finally:
        for route in unreachable:
            machine.run(*(word.replace("add", "del") for word in route))
    for other in front.others(machine):
        other.kill("nginx", "STOP")
    try:
        assert passes(), "whether theirs serve is no question of who is cut off"
    finally:
        for other in front.others(machine):
            other.kill("nginx", "CONT")
    drain = machine.folder / "data/drain"
    drain.touch()
    try:
        assert not passes(), "it drains"
    finally:
        drain.unlink()
    machine.kill("nginx", "STOP")
    try:
        assert not passes(), "its own hangs"
    finally:
        machine.kill("nginx", "CONT")
    front.all_ready()


def advert(address: str, source: str, destination: str, priority: int) -> bytes:
    """A VRRP advertisement of version 3 for router 51 (RFC 9568, 5.1), without its IP header."""
    head = struct.pack("!BBBBHH", 3 << 4 | 1, 51, priority, 1, 30, 0) + socket.inet_aton(address)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, 112, len(head))
    total = sum(struct.unpack(f"!{len(pseudo + head) // 2}H", pseudo + head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:6] + struct.pack("!H", ~total & 0xFFFF) + head[8:]


SEND = """
import socket, sys, time
packet, source, destination, ttl = bytes.fromhex(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
s.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT: a source that is not ours
s.bind((source, 0))
for _ in range(3):
    s.sendto(packet, (destination, 0))
    time.sleep(0.5)
"""
"""Slower than signs of life come: keepalived 2.3.3 puts its own off at each packet for its router id, also at
one that it does not believe, so that a flood makes the address flap. Against that a firewall alone helps."""


@pytest.mark.parametrize(
    ("as_peer", "ttl", "believed"), [(False, 255, False), (True, 64, False), (True, 255, True)]
)
def test_strangers_and_routed_packets_are_not_believed_but_a_neighbour_that_forges_a_peers_address_is(
    front: Front, as_peer: bool, ttl: int, believed: bool
) -> None:
    """VRRP has no authentication: docs/three-machines.md says what a hostile machine beside them can do."""
    holder = front.all_ready()
    source = front.others(holder)[0].address if as_peer else front.lab.client.address
    packet = advert(FLOATING, source, holder.address, 254).hex()
    log = holder.folder / "keepalived.log"
    before = len(log.read_text())
    front.lab.client.run(sys.executable, "-c", SEND, packet, source, holder.address, str(ttl))
    said = log.read_text()[before:]
    assert ("Master received advert from" in said) is believed, said
    front.all_ready()
