"""The front of three machines: the generated keepalived and nginx for real: cut off, killed, lied to."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from front_lab import FLOATING, Front, failed, running_front, script_pids, tell
from rows import each_row
from servers import wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with networks of their own need root"),
]


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running_front(drain=3600) as made:
        yield made


def answered(front: Front) -> float:
    """Wait until a client gets an answer by the address again; the moment when it had it."""
    wait_for(
        lambda: front.asked(front.lab.client, "ping", FLOATING) == "200", what=f"an answer; {front.logs()}"
    )
    return time.time()


def failed_after(moment: float, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The questions that were asked later and got no answer; how long the gap is, no test bounds."""
    return [line for line in failed(lines, "first") if line["at"] > moment]


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
            # Cut off it must not go on as if it had the address: users beside it would be served by it alone.
            wait_for(lambda: not holder.has(FLOATING), what=f"the cut one without it; {front.logs()}")
            wait_for(lambda: front.state(holder) == "FAULT", what="the cut one out of the game")
            settled = answered(front)
        finally:
            front.lab.heal(holder)
        wait_for(lambda: front.state(holder) == "BACKUP", what=f"the healed one back in line; {front.logs()}")
        assert not holder.has(FLOATING), "what came back took the address"
    tell("the holder cut off", lines)
    assert failed_after(settled, lines) == []
    assert len(lines) > 20


def test_nginx_that_was_told_to_stop_loses_no_request(front: Front) -> None:
    holder = front.all_ready()
    with front.load(40.0) as lines:
        holder.run("kill", "-TERM", *script_pids(holder))
        wait_for(lambda: front.asked(holder, "nginx-front") == "410", what="draining said")
        wait_for(lambda: not holder.has(FLOATING), what=f"the address elsewhere; {front.logs()}")
        settled = answered(front)
        assert front.asked(holder, "ping") == "200", "it serves on while it drains"
        holder.run("kill", "-TERM", *script_pids(holder))  # it has drained for long enough
        wait_for(lambda: not holder.pids("nginx"), what="nginx ended")
        front.start_nginx(holder)
        front.all_ready()
    tell("nginx told to stop", lines)
    # Behind Docker's NAT answers still leave the old machine then; a process without it has lost its address.
    lost_address = {"TimeoutError", "ConnectionResetError"}
    assert {line["first"] for line in failed(lines, "first")} <= lost_address, "nobody was refused"
    assert failed_after(settled, lines) == []
    assert len(lines) > 40


def test_a_dead_nginx_takes_the_address_away_and_its_return_brings_nothing_back(front: Front) -> None:
    holder = front.all_ready()
    with front.load() as lines:
        holder.kill("nginx")
        wait_for(lambda: not holder.has(FLOATING), what=f"the address elsewhere; {front.logs()}")
        wait_for(lambda: not script_pids(holder), what="its script ended with it")
        settled = answered(front)
        front.start_nginx(holder)
        wait_for(lambda: front.state(holder) == "BACKUP", what="back in line")
        assert not holder.has(FLOATING), "what came back took the address"
    tell("nginx killed", lines)
    assert failed_after(settled, lines) == []


@pytest.mark.nightly
def test_the_address_that_a_killed_keepalived_left_behind_is_taken_away_at_its_start(front: Front) -> None:
    holder = front.all_ready()
    holder.kill("keepalived")
    wait_for(lambda: len(front.holders) == 2, what=f"another one beside what was left; {front.logs()}")
    assert holder.name in front.holders, "nobody was left to take it away"
    front.start_keepalived(holder)
    wait_for(lambda: not holder.has(FLOATING), what=f"it gone from {holder.name}; {front.logs()}")
    assert front.all_ready() is not holder
    assert "it was left there" in (holder.folder / "keepalived.log").read_text()


@pytest.mark.nightly
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
    check = f"/etc/techsapo/keepalived/{machine.own_folder}/check.sh"
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


@pytest.mark.nightly
@each_row("as_peer, ttl, believed", [(False, 255, False), (True, 64, False), (True, 255, True)])
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
