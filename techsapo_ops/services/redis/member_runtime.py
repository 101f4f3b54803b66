"""What an engine does of a Redis of several."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.client import entered_client, operators, several
from techsapo_ops.services.redis.runtime import RedisRuntime
from techsapo_ops.services.redis.switchover import switch
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class MemberRuntime(RedisRuntime):
    """As alone; and a master hands over before it is stopped."""

    @override
    def role_question(self, topology: Topology, service: Service) -> Command | None:
        # https://redis.io/docs/latest/commands/info/ has the answer's form.
        return entered_client(topology, service, "INFO", "replication")

    @override
    def role(self, topology: Topology, said: str) -> Role:
        # A master whom no replica follows takes no writes (min-replicas-to-write).
        info = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
        if info.get("role") == "master":
            count = info.get("connected_slaves", "?")
            return Role(msg("master of {count} replicas", count=count), wrong=count == "0", sole=True)
        if info.get("role") != "slave":
            return Role()
        master = info.get("master_host", "?")
        host = {machine.address: machine.name for machine in topology.machines}.get(master, master)
        if info.get("master_link_status") == "up":
            return Role(msg("replica of {host}, in sync", host=host), sole=False)
        return Role(msg("replica of {host}, not connected", host=host), wrong=True, sole=False)

    @override
    def question(self, topology: Topology) -> Command | None:
        return None  # it listens on its machine's address, where its health check asks it

    @override
    def hand_over(self, topology: Topology, service: Service, doors: Callable[[Service], Door | None]) -> str:
        def door_to(other: Service) -> Door:
            return operators(doors(other) or Door(SubprocessRunner(), _nowhere), topology, other)

        try:
            if several(topology, door_to).master == service:
                switch(topology, door_to)
        except OpsError as error:
            return error.message
        return ""


def _nowhere(command: Command) -> Command:
    """The way into a container that does not run. Raises OpsError."""
    raise OpsError(msg("{program}: there is no container", program=command.program))


RUNTIME = MemberRuntime()
