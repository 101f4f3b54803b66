"""What an engine does of a Redis of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from typing_extensions import override

from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.client import client_options, login_environment
from techsapo_ops.services.redis.runtime import RedisRuntime
from techsapo_ops.services.redis.several import several
from techsapo_ops.services.redis.switchover import switch
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class MemberRuntime(RedisRuntime):
    """As alone; and a master hands over before it is stopped."""

    @override
    def question(self, topology: Topology) -> Command | None:
        return None  # it listens on its machine's address, where its health check asks it

    @override
    def hand_over(self, topology: Topology, service: Service, doors: Callable[[Service], Door | None]) -> str:
        def door_to(other: Service) -> Door:
            door = doors(other) or Door(SubprocessRunner(), _nowhere)
            return replace(door, options=client_options(topology, other), env=login_environment(topology))

        try:
            if several(topology, door_to).master == service:
                switch(topology, door_to)
        except OpsError as error:
            return error.message
        return ""


def _nowhere(command: Command) -> Command:
    """The way into a container that does not run. Raises OpsError."""
    raise OpsError(msg("{program}: it has no container", program=command.program))


RUNTIME = MemberRuntime()
