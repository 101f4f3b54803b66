"""Which machines have the address of the front, by each one's own keepalived."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.keepalived.kind import RUN
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

SAYS = Command(("cat", f"{RUN}/state"))
"""What tells, in keepalived's container, MASTER, BACKUP or FAULT."""
Ask = Callable[[Service], str]
"""What that says for a service; "" where it does not run or does not answer."""


def holders(topology: Topology, ask: Ask) -> tuple[str, ...]:
    """Names of the machines that say they have it, all asked at the same time; more than one is a fault."""
    services = topology.of_kind("keepalived")
    if not services:
        return ()
    with ThreadPoolExecutor(len(services)) as pool:
        said = tuple(pool.map(ask, services))
    return tuple(
        service.machine.name
        for service, state in zip(services, said, strict=True)
        if state.strip() == "MASTER"
    )


class KeepalivedRuntime(Runtime):
    """It says whether it has the address."""

    @override
    def role_question(self, topology: Topology, service: Service) -> Command | None:
        return SAYS

    @override
    def role(self, topology: Topology, said: str) -> Role:
        address = topology.spec.floating_address
        fault = msg("can't hold the address: nginx or the network of that host has failed")
        return {
            "MASTER": Role(msg("has {address}", address=address), sole=True),
            "BACKUP": Role(msg("ready to take over {address}", address=address), sole=False),
            "FAULT": Role(fault, wrong=True, sole=False),
        }.get(said.strip(), Role())


RUNTIME = KeepalivedRuntime()
