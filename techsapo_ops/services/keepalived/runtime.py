"""Which machines have the address of the front, by each one's own keepalived."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.questions import each_of
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
    said = each_of({s.machine.name: partial(ask, s) for s in topology.of_kind("keepalived")})
    return tuple(machine for machine, state in said.items() if state.strip() == "MASTER")


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
