"""Whether the machines of a spec can carry its stack: one fact a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from techsapo_ops.adapters.docker_refusals import plainly
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.hosts.facts import IN_SWARM, DaemonFacts, Fact, Level
from techsapo_ops.operations.hosts.look import Looked, freed_ports, look, ports_of
from techsapo_ops.operations.hosts.probe import NoWayError, Probed
from techsapo_ops.operations.hosts.together import clock_level, major, together
from techsapo_ops.spec.machine_ports import GOSSIP, RAFT
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.topology import Topology

OLDEST = 25
"""Docker's oldest major version that was tried."""
_LOW, _FULL = 5 << 30, 1 << 30
"""Bytes that are free where Docker keeps its data: below the first the next images may find no room, below
the second a database soon writes nothing."""
_OK, _WARN, _BAD, _SKIP = Level.OK, Level.WARNING, Level.FAILED, Level.SKIPPED


@dataclass(frozen=True, slots=True)
class Checked:
    """All facts, those of each host together."""

    facts: tuple[Fact, ...]

    @property
    def well(self) -> bool:
        """Whether nothing failed."""
        return all(fact.level is not Level.FAILED for fact in self.facts)


def check(topology: Topology, fleet: Fleet, hosts: Sequence[str] = ()) -> Checked:
    """Look at `hosts`, all when empty, and at what they are together. Nothing is changed.

    No machine is waited for longer than twice SECONDS.
    """
    machines = [m for m in topology.machines if not hosts or m.name in hosts]
    looked = look(topology, fleet, machines)
    facts: list[Fact] = []
    for machine in machines:
        facts += _host(topology, machine, looked)
    return Checked((*facts, *together(topology, machines, looked)))


def _host(topology: Topology, machine: Machine, looked: Looked) -> Iterator[Fact]:
    name = machine.name
    if name in looked.silent:
        refusal = plainly(looked.silent[name].message, name, machine.docker)
        yield Fact(
            name, "docker", _BAD, msg("{way}: {why}", way=machine.docker, why=refusal.why), refusal.remedy
        )
        return
    daemon = looked.daemons[name]
    yield _version(machine, daemon)
    yield _name(machine, daemon)
    yield from _swarm(machine, daemon, looked)
    yield _clock(machine, daemon)
    probed = looked.probed.get(name)
    if isinstance(probed, Probed):
        yield _address(machine, probed)
        yield _ports(topology, machine, daemon, probed, looked.running.get(name, frozenset()))
        yield _network(machine, probed, looked)
        yield _disk(machine, daemon, probed)
    else:
        why = probed.message if isinstance(probed, OpsError) else str(probed)
        remedy = (
            msg("`techsapo up` brings images; by ssh:// nothing is needed")
            if isinstance(probed, NoWayError)
            else ""
        )
        level = _SKIP if isinstance(probed, NoWayError) else _WARN
        yield Fact(
            name, "machine", level, msg("ports, disk and network were not looked at: {why}", why=why), remedy
        )


def _version(machine: Machine, daemon: DaemonFacts) -> Fact:
    number = major(daemon.version)
    if number < OLDEST:
        words = msg("{version} is older than {oldest}", version=daemon.version, oldest=OLDEST)
        return Fact(machine.name, "docker", _BAD, words, msg("install a newer one"))
    return Fact(
        machine.name, "docker", _OK, msg("{version}, by {way}", version=daemon.version, way=machine.docker)
    )


def _name(machine: Machine, daemon: DaemonFacts) -> Fact:
    if daemon.name == machine.name:
        return Fact(machine.name, "name", _OK, daemon.name)
    return Fact(
        machine.name,
        "name",
        _BAD,
        msg("it calls itself {name}", name=daemon.name),
        msg(
            "write `{name}:` under `hosts`, or `hostnamectl set-hostname {key}` there and restart Docker",
            name=daemon.name,
            key=machine.name,
        ),
    )


def _swarm(machine: Machine, daemon: DaemonFacts, looked: Looked) -> Iterator[Fact]:
    name = machine.name
    join = msg("`techsapo hosts add {name}`", name=name)
    if not daemon.joined:
        yield Fact(name, IN_SWARM, _BAD, msg("it is in no Swarm"), join)
        return
    if daemon.state != "active" or (daemon.manages and looked.nodes is None):
        why = (
            daemon.error or looked.quorum.splitlines()[-1] if looked.quorum or daemon.error else daemon.state
        )
        yield Fact(
            name,
            IN_SWARM,
            _BAD,
            msg("its Swarm does not answer: {why}", why=why),
            msg("more than half of the managers have to be there; see docs/three-machines.md"),
        )
        return
    clusters = {d.cluster for d in looked.daemons.values() if d.cluster}
    if len(clusters) > 1:
        yield Fact(
            name,
            IN_SWARM,
            _BAD,
            msg("not all hosts are in the same Swarm"),
            msg("on the host that is wrong: `docker swarm leave --force`; then `techsapo hosts add`"),
        )
        return
    node = next((n for n in looked.nodes or () if n.id == daemon.node), None)
    if not daemon.manages or node is None:
        yield Fact(name, IN_SWARM, _BAD, msg("it is a worker, and each host has to be a manager"), join)
        return
    words = msg("manager and leader") if node.reach == "leader" else msg("manager")
    if not node.ready or node.reach == "unreachable":
        yield Fact(
            name,
            IN_SWARM,
            _BAD,
            msg("the other managers can't reach it"),
            msg("`techsapo hosts check` on them"),
        )
    elif node.availability != "active":
        yield Fact(
            name,
            IN_SWARM,
            _WARN,
            msg("{role}, drained", role=words),
            msg("`techsapo hosts activate {name}`", name=name),
        )
    else:
        yield Fact(name, IN_SWARM, _OK, words)
    if daemon.address and daemon.address != machine.address:
        yield Fact(
            name,
            "swarm address",
            _BAD,
            msg(
                "Swarm reaches it by {there}, the spec by {here}", there=daemon.address, here=machine.address
            ),
            msg(
                "write {there} under `hosts`, or `techsapo hosts replace {name}`",
                there=daemon.address,
                name=name,
            ),
        )


def _clock(machine: Machine, daemon: DaemonFacts) -> Fact:
    off = max(abs(daemon.ahead) - daemon.doubt, 0.0)
    words = msg("{ahead:+.1f} s of this host", ahead=daemon.ahead)
    level = clock_level(off)
    remedy = msg("let an NTP client keep it: `timedatectl set-ntp true`") if level is not _OK else ""
    return Fact(machine.name, "clock", level, words, remedy)


def _address(machine: Machine, probed: Probed) -> Fact:
    if machine.address in probed.addresses:
        return Fact(machine.name, "address", _OK, machine.address)
    return Fact(
        machine.name,
        "address",
        _BAD,
        msg("no interface has {address}", address=machine.address),
        msg(
            "write one of {found}",
            found=", ".join(sorted(a for a in probed.addresses if not a.startswith("127."))),
        ),
    )


def _ports(
    topology: Topology, machine: Machine, daemon: DaemonFacts, probed: Probed, running: frozenset[str]
) -> Fact:
    wanted = ports_of(topology, machine.name)
    met = {port: of for port, of in wanted.items() if port in probed.ports and of not in running}
    freed = freed_ports(topology, machine.name) & met.keys()
    taken = [f"{port} ({of})" for port, of in met.items() if port not in freed]
    if not daemon.joined:
        taken += [f"{port} (Swarm)" for port in (RAFT, GOSSIP) if port in probed.ports]
    if taken:
        return Fact(
            machine.name,
            "ports",
            _BAD,
            msg("somebody else has {ports}", ports=", ".join(taken)),
            msg("`ss -ltnp` there says who"),
        )
    if freed:
        had = ", ".join(map(str, sorted(freed)))
        words = msg("the stack has {ports} on this host alone; `techsapo up` stops it first", ports=had)
        return Fact(machine.name, "ports", _OK, words)
    listed = ", ".join(str(port) for port in sorted((*wanted, RAFT, GOSSIP)))
    return Fact(machine.name, "ports", _OK, msg("free or ours: {ports}", ports=listed))


def _network(machine: Machine, probed: Probed, looked: Looked) -> Fact:
    bad, untried = [], []
    for (other, port), how in sorted(probed.reached.items()):
        there = looked.daemons.get(other)
        if there is None:
            continue  # it is said of that one
        if how == "untried":
            untried.append(other)
        elif how == "no" or (how == "refused" and there.joined):
            bad.append(f"{other}:{port}")
    if bad:
        return Fact(
            machine.name,
            "network",
            _BAD,
            msg("it does not reach {others}", others=", ".join(bad)),
            msg("open 2377/tcp, 7946/tcp and udp, and 4789/udp between the hosts"),
        )
    if untried:
        return Fact(machine.name, "network", _SKIP, msg("it has no bash to try it with"))
    names = ", ".join(sorted({other for other, _ in probed.reached if other in looked.daemons}))
    return Fact(machine.name, "network", _OK, msg("reaches {others}", others=names or "-"))


def _disk(machine: Machine, daemon: DaemonFacts, probed: Probed) -> Fact:
    level = _BAD if probed.free < _FULL else _WARN if probed.free < _LOW else _OK
    words = msg(
        "{free:.1f} of {size:.1f} GB free at {root}",
        free=probed.free / 1e9,
        size=probed.size / 1e9,
        root=daemon.root,
    )
    return Fact(machine.name, "disk", level, words, "" if level is _OK else "`docker system df`")
