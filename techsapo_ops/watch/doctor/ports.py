"""Whether the ports of a stack are free, and who has them where not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from techsapo_ops.adapters.held import Holder, belongs_to, is_free
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def _wanted_ports(topology: Topology) -> Iterator[tuple[int, Service]]:
    for service in topology.services:
        if topology.published(service):
            yield from ((port, service) for _, port in kind_of(service).ports(topology, service))


def ports(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    """Whether the stack's services can have their ports; `held` are those that something listens on."""
    for port, service in _wanted_ports(topology):
        holder, level, remedy = held.get(port), Level.OK, ""
        if is_free(listen_host(service.host), port):
            detail = msg("free, for {service}", service=service.name)
        elif holder is None:
            level = Level.MISSING
            detail = msg(
                "{service} can't listen on {host}:{port}", service=service.name, host=service.host, port=port
            )
            remedy = msg("ports below 1024 need root; is the address one of this host?")
        elif _ours(topology, port, holder, own):
            detail = msg("{service} of this stack: {holder}", service=service.name, holder=holder)
        else:
            level = Level.MISSING
            detail = msg("wanted by {service}, taken by {holder}", service=service.name, holder=holder)
            remedy = _how_to_free(service, holder)
        yield HostFinding("port", f"port {port}", level, detail, remedy)


def _how_to_free(service: Service, holder: Holder) -> str:
    setting = kind_of(service).setting_of(service)
    if holder.pid is None:
        return msg("run as root to see which process it is, or set another port: {setting}", setting=setting)
    return msg("stop that process, or set another port: {setting}", setting=setting)


def foreign(topology: Topology, held: Mapping[int, Holder], own: Collection[int]) -> Iterator[HostFinding]:
    """Services on their well-known ports that are not this stack's, such as those of Debian's packages."""
    wanted = {port for port, _ in _wanted_ports(topology)}
    for kind in kinds():
        facts = kind.facts
        holder = held.get(facts.port)
        if facts.binary is None or holder is None or facts.port in wanted:
            continue
        if _ours(topology, facts.port, holder, own):
            continue
        detail = msg(
            "{title}'s port {port} is used by {holder}; it is left alone",
            title=facts.title,
            port=facts.port,
            holder=holder,
        )
        yield HostFinding("running", facts.kind, Level.NOTE, detail)


def _ours(topology: Topology, port: int, holder: Holder, own: Collection[int]) -> bool:
    return port in own or (holder.pid is not None and belongs_to(holder.pid, topology.layout.state))
