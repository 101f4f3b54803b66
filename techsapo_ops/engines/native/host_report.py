"""Which executables a stack of processes has on this host, and which it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts as services
from techsapo_ops.stack.health import HostFinding, HostReport, Level
from techsapo_ops.stack.topology import Topology


def host_report(topology: Topology) -> HostReport:
    """The executable of each kind, or the package that brings it."""
    return HostReport(tuple(_services(topology)))


def _services(topology: Topology) -> Iterator[HostFinding]:
    seen = set()
    for service in topology.services:
        if service.kind not in seen and service.binary is not None:
            yield HostFinding("service", service.kind, Level.OK, service.binary)
        seen.add(service.kind)
    catalogue = services()
    for absent in topology.absent:
        package = catalogue[absent.kind].package
        lacks_binary = catalogue[absent.kind].binary not in topology.host.binaries
        if package is not None and lacks_binary:
            remedy = msg("Debian package {package}", package=package)
            yield HostFinding("service", absent.kind, Level.MISSING, absent.reason, remedy, package)
        else:
            yield HostFinding("service", absent.kind, Level.NOTE, absent.reason, absent.remedy)
