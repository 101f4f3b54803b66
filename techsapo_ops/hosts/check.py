"""Whether the machines of a spec can carry its stack: one fact a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.unreachable import plainly
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.facts import IN_SWARM, DaemonFacts, Fact, Level, NoWayError, Probed, renaming
from techsapo_ops.hosts.survey import Survey, freed_ports, ports_of, survey
from techsapo_ops.messages import msg
from techsapo_ops.spec.ports import GOSSIP, RAFT
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.topology import Topology

OLDEST = 25
"""Docker's oldest major version that was tried."""
_LOW, _FULL = 5 << 30, 1 << 30
"""Bytes that are free where Docker keeps its data: below the first the next images may find no room, below
the second a database soon writes nothing."""
HEARTBEAT = 20.0
"""Seconds. With two, the cut of the leader restarted tasks of healthy machines; with twenty, none."""
_SLOW, _WRONG = 2.0, 10.0
"""Seconds by which clocks may differ: certificates and leases are judged by them."""
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
    seen = survey(topology, fleet, machines)
    facts: list[Fact] = []
    for machine in machines:
        facts += _host(topology, machine, seen)
    return Checked((*facts, *_together(topology, machines, seen)))


def _host(topology: Topology, machine: Machine, seen: Survey) -> Iterator[Fact]:
    name, of = machine.name, partial(Fact, machine.name)
    if name in seen.silent:
        refusal = plainly(seen.silent[name].message, name, machine.docker)
        words = msg("{way}: {why}", way=machine.docker, why=refusal.why)
        yield of("docker", _BAD, words, refusal.remedy)
        return
    daemon = seen.daemons[name]
    yield _version(machine, daemon)
    yield _name(machine, daemon)
    yield from _swarm(machine, daemon, seen)
    yield _clock(machine, daemon)
    probed = seen.probed.get(name)
    if isinstance(probed, Probed):
        yield _address(machine, probed)
        yield _ports(topology, machine, daemon, probed, seen.running.get(name, frozenset()))
        yield _network(machine, probed, seen)
        yield _disk(machine, daemon, probed)
        return
    why = probed.message if isinstance(probed, OpsError) else str(probed)
    words = msg("ports, disk and network were not checked: {why}", why=why)
    if isinstance(probed, NoWayError):
        yield of(
            "machine",
            _SKIP,
            words,
            msg("run `techsapo up`, which copies the images to the host; over ssh:// no image is needed"),
        )
    else:
        yield of("machine", _WARN, words)


def _version(machine: Machine, daemon: DaemonFacts) -> Fact:
    if _major(daemon.version) < OLDEST:
        words = msg("Docker {version} is older than {oldest}", version=daemon.version, oldest=OLDEST)
        return Fact(machine.name, "docker", _BAD, words, msg("install a newer Docker"))
    words = msg("{version}, over {way}", version=daemon.version, way=machine.docker)
    return Fact(machine.name, "docker", _OK, words)


def _name(machine: Machine, daemon: DaemonFacts) -> Fact:
    if daemon.name == machine.name:
        return Fact(machine.name, "name", _OK, daemon.name)
    words = msg("the host's own name is {name}", name=daemon.name)
    return Fact(machine.name, "name", _BAD, words, renaming(machine, daemon))


def _swarm(machine: Machine, daemon: DaemonFacts, seen: Survey) -> Iterator[Fact]:
    name, of = machine.name, partial(Fact, machine.name, IN_SWARM)
    join = msg("`techsapo hosts add {name}`", name=name)
    if not daemon.joined:
        yield of(_BAD, msg("not in a Swarm"), join)
        return
    if daemon.state != "active" or (daemon.manages and seen.nodes is None):
        said = seen.quorum.splitlines()[-1] if seen.quorum else daemon.state
        words = msg("the Swarm does not answer: {why}", why=daemon.error or said)
        yield of(_BAD, words, msg("more than half of the managers must answer; see docs/three-machines.md"))
        return
    if len({d.cluster for d in seen.daemons.values() if d.cluster}) > 1:
        yield of(
            _BAD,
            msg("the hosts are not all in the same Swarm"),
            msg(
                "on the host that is in the wrong Swarm, run `docker swarm leave --force`; then run "
                "`techsapo hosts add`"
            ),
        )
        return
    node = next((n for n in seen.nodes or () if n.id == daemon.node), None)
    if not daemon.manages or node is None:
        yield of(_BAD, msg("the host is a worker, but every host must be a manager"), join)
        return
    role = msg("manager and leader") if node.reach == "leader" else msg("manager")
    if not node.ready or node.reach == "unreachable":
        yield of(
            _BAD,
            msg("the other managers can't reach that host"),
            msg("run `techsapo hosts check` on the other managers"),
        )
    elif node.availability != "active":
        yield of(_WARN, msg("{role}, drained", role=role), msg("`techsapo hosts activate {name}`", name=name))
    else:
        yield of(_OK, role)
    there, here = daemon.address, machine.address
    if there and there != here:
        words = msg("Swarm uses the address {there}, but the spec has {here}", there=there, here=here)
        remedy = msg(
            "write {there} under `hosts`, or run `techsapo hosts replace {name}`", there=there, name=name
        )
        yield Fact(name, "swarm address", _BAD, words, remedy)


def _clock(machine: Machine, daemon: DaemonFacts) -> Fact:
    level = _clock_level(max(abs(daemon.ahead) - daemon.doubt, 0.0))
    words = msg("{ahead:+.1f} s from this host's clock", ahead=daemon.ahead)
    remedy = msg("synchronize the clock with NTP: `timedatectl set-ntp true`") if level is not _OK else ""
    return Fact(machine.name, "clock", level, words, remedy)


def _address(machine: Machine, probed: Probed) -> Fact:
    if machine.address in probed.addresses:
        return Fact(machine.name, "address", _OK, machine.address)
    words = msg("no interface has {address}", address=machine.address)
    addresses = ", ".join(sorted(a for a in probed.addresses if not a.startswith("127.")))
    return Fact(
        machine.name,
        "address",
        _BAD,
        words,
        msg("under `hosts`, write one of the addresses {addresses}", addresses=addresses),
    )


def _ports(
    topology: Topology, machine: Machine, daemon: DaemonFacts, probed: Probed, running: frozenset[str]
) -> Fact:
    of = partial(Fact, machine.name, "ports")
    wanted = ports_of(topology, machine.name)
    met = {port: its for port, its in wanted.items() if port in probed.ports and its not in running}
    freed = freed_ports(topology, machine.name) & met.keys()
    taken = [f"{port} ({service})" for port, service in met.items() if port not in freed]
    if not daemon.joined:
        taken += [f"{port} (Swarm)" for port in (RAFT, GOSSIP) if port in probed.ports]
    if taken:
        words = msg("another process uses {ports}", ports=", ".join(taken))
        return of(_BAD, words, msg("`ss -ltnp` on that host shows the process"))
    if freed:
        had = ", ".join(map(str, sorted(freed)))
        return of(
            _OK,
            msg(
                "{ports}: used by the stack, which runs on this host only; `techsapo up` stops that stack "
                "first",
                ports=had,
            ),
        )
    listed = ", ".join(str(port) for port in sorted((*wanted, RAFT, GOSSIP)))
    return of(_OK, msg("free, or used by this stack: {ports}", ports=listed))


def _network(machine: Machine, probed: Probed, seen: Survey) -> Fact:
    of = partial(Fact, machine.name, "network")
    # Of one that does not answer it is said there.
    tried = {to: how for to, how in sorted(probed.reached.items()) if to[0] in seen.daemons}
    bad = [
        f"{other}:{port}"
        for (other, port), how in tried.items()
        if how == "no" or (how == "refused" and seen.daemons[other].joined)
    ]
    if bad:
        words = msg("can't reach {others}", others=", ".join(bad))
        return of(_BAD, words, msg("open 2377/tcp, 7946/tcp and udp, and 4789/udp between the hosts"))
    if "untried" in tried.values():
        return of(_SKIP, msg("not tested: the host has no bash"))
    names = ", ".join(sorted({other for other, _ in tried}))
    return of(_OK, msg("reaches {others}", others=names or "-"))


def _disk(machine: Machine, daemon: DaemonFacts, probed: Probed) -> Fact:
    level = _BAD if probed.free < _FULL else _WARN if probed.free < _LOW else _OK
    free, size = probed.free / 1e9, probed.size / 1e9
    words = msg("{free:.1f} of {size:.1f} GB free at {root}", free=free, size=size, root=daemon.root)
    return Fact(machine.name, "disk", level, words, "" if level is _OK else "`docker system df`")


def _clock_level(seconds: float) -> Level:
    """What a clock asks for that is off by `seconds`."""
    return _BAD if seconds > _WRONG else _WARN if seconds > _SLOW else _OK


def _major(version: str) -> int:
    """The first number of a version; 0 where it has none."""
    match = re.match(r"\d+", version)
    return int(match.group()) if match else 0


def _together(topology: Topology, machines: Sequence[Machine], seen: Survey) -> Iterator[Fact]:
    """The facts that are of no single host."""
    of = partial(Fact, "")
    daemons = {m.name: seen.daemons[m.name] for m in machines if m.name in seen.daemons}
    if len({_major(d.version) for d in daemons.values()}) > 1:
        each = ", ".join(f"{name} {d.version}" for name, d in daemons.items())
        yield of(
            "docker",
            _WARN,
            msg("different major versions of Docker: {each}", each=each),
            msg("install the same version on all hosts"),
        )
    if len(daemons) > 1:
        middle = median(d.ahead for d in daemons.values())
        apart = max(abs(d.ahead - middle) for d in daemons.values())
        level = _clock_level(max(apart - 2 * max(d.doubt for d in daemons.values()), 0.0))
        words = msg("the clocks of the hosts differ by at most {seconds:.1f} s", seconds=apart)
        yield of("clock", level, words, msg("synchronize the clocks with NTP") if level is not _OK else "")
    yield from _raft(topology, seen)
    words = msg("4789/udp, 7946/udp and VRRP (protocol 112) can't be tested from outside")
    yield of("udp", _SKIP, words, msg("open these ports and protocols between the hosts"))


def _raft(topology: Topology, seen: Survey) -> Iterator[Fact]:
    if seen.nodes is None:
        return
    of = partial(Fact, "")
    managers = [node for node in seen.nodes if node.reach]
    there = [node for node in managers if node.reach != "unreachable"]
    spare = len(there) - (len(managers) // 2 + 1)
    words = msg("{there} of {all} managers answer", there=len(there), all=len(managers))
    if spare > 0:
        yield of(
            "quorum",
            _OK,
            msg("{managers}; quorum survives the loss of {spare} more", managers=words, spare=spare),
        )
    else:
        remedy = msg("bring the host back, or run `techsapo hosts replace NAME`")
        yield of(
            "quorum", _WARN, msg("{managers}; losing one more breaks the quorum", managers=words), remedy
        )
    names = {m.name for m in topology.machines}
    if strangers := [node.name for node in managers if node.name not in names]:
        words = msg("managers that are not in the spec: {names}", names=", ".join(strangers))
        yield of("nodes", _WARN, words, msg("`techsapo hosts remove {name}`", name=strangers[0]))
    beat = max((d.heartbeat for d in seen.daemons.values()), default=0.0)
    if beat >= HEARTBEAT:
        yield of("heartbeat", _OK, f"{beat:g} s")
    elif beat:
        words = msg(
            "a heartbeat of {beat:g} s is too short: if the leader is cut off, Swarm restarts healthy "
            "services on other hosts",
            beat=beat,
        )
        yield of("heartbeat", _WARN, words, f"`docker swarm update --dispatcher-heartbeat {HEARTBEAT:.0f}s`")
