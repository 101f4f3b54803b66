"""What the machines of a stack are together: one Swarm, with a quorum and one time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from techsapo_ops.messages import msg
from techsapo_ops.operations.hosts.facts import Fact, Level
from techsapo_ops.operations.hosts.look import Looked
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.topology import Topology

HEARTBEAT = 20.0
"""Seconds. With two, the cut of the leader restarted tasks of healthy machines; with twenty, none."""
_SLOW, _WRONG = 2.0, 10.0
"""Seconds by which clocks may differ: certificates and leases are judged by them."""
_OK, _WARN, _BAD, _SKIP = Level.OK, Level.WARNING, Level.FAILED, Level.SKIPPED


def clock_level(seconds: float) -> Level:
    """What a clock asks for that is off by `seconds`."""
    return _BAD if seconds > _WRONG else _WARN if seconds > _SLOW else _OK


def major(version: str) -> int:
    """The first number of a version; 0 where it has none."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else 0


def together(topology: Topology, machines: Sequence[Machine], looked: Looked) -> Iterator[Fact]:
    """The facts that are of no single host."""
    daemons = {m.name: looked.daemons[m.name] for m in machines if m.name in looked.daemons}
    if len({major(d.version) for d in daemons.values()}) > 1:
        each = ", ".join(f"{name} {d.version}" for name, d in daemons.items())
        yield Fact(
            "", "docker", _WARN, msg("different major versions: {each}", each=each), msg("bring them to one")
        )
    if len(daemons) > 1:
        middle = median(d.ahead for d in daemons.values())
        apart = max(daemons.values(), key=lambda d: abs(d.ahead - middle))
        off = max(abs(apart.ahead - middle) - 2 * max(d.doubt for d in daemons.values()), 0.0)
        level = clock_level(off)
        words = msg("the hosts are {seconds:.1f} s apart at most", seconds=abs(apart.ahead - middle))
        yield Fact("", "clock", level, words, msg("let an NTP client keep it") if level is not _OK else "")
    yield from _raft(topology, looked)
    yield Fact(
        "",
        "udp",
        _SKIP,
        msg("4789/udp and 7946/udp can't be tried from outside, nor VRRP (protocol 112)"),
        msg("open them between the hosts"),
    )


def _raft(topology: Topology, looked: Looked) -> Iterator[Fact]:
    if looked.nodes is None:
        return
    managers = [node for node in looked.nodes if node.reach]
    there = [node for node in managers if node.reach != "unreachable"]
    spare = len(there) - (len(managers) // 2 + 1)
    words = msg("{there} of {all} managers", there=len(there), all=len(managers))
    if spare > 0:
        yield Fact("", "quorum", _OK, msg("{managers}; {spare} may be lost", managers=words, spare=spare))
    else:
        yield Fact(
            "",
            "quorum",
            _WARN,
            msg("{managers}; none may be lost", managers=words),
            msg("bring the host back, or `techsapo hosts replace NAME`"),
        )
    names = {m.name for m in topology.machines}
    if strangers := [node.name for node in managers if node.name not in names]:
        yield Fact(
            "",
            "nodes",
            _WARN,
            msg("managers that are no hosts of the spec: {names}", names=", ".join(strangers)),
            msg("`techsapo hosts remove {name}`", name=strangers[0]),
        )
    beat = max((d.heartbeat for d in looked.daemons.values()), default=0.0)
    if beat >= HEARTBEAT:
        yield Fact("", "heartbeat", _OK, f"{beat:g} s")
    elif beat:
        yield Fact(
            "",
            "heartbeat",
            _WARN,
            msg(
                "{beat:g} s: where the leader is cut off, Swarm restarts what runs well on other hosts",
                beat=beat,
            ),
            f"`docker swarm update --dispatcher-heartbeat {HEARTBEAT:.0f}s`",
        )
