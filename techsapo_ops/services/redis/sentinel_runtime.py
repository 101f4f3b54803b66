"""What is done with Sentinel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.accounts import sentinel_accounts_file
from techsapo_ops.services.redis.client import entered_client, lines_of, operators
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_SECONDS = 60.0
"""They tell each other of themselves by the master every two seconds."""
_PAUSE = 0.5


class SentinelRuntime(Runtime):
    """Its accounts are made with those of Redis."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (sentinel_accounts_file(topology.layout),)

    @override
    def role_question(self, topology: Topology, service: Service) -> Command | None:
        # https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-commands
        return entered_client(topology, service, "SENTINEL", "CKQUORUM", topology.spec.project)

    @override
    def role(self, topology: Topology, said: str) -> Role:
        first, _, rest = said.strip().partition(" ")
        if first == "OK":
            count = rest.partition(" ")[0]
            return Role(msg("quorum: {count} of {all} Sentinels", count=count, all=len(topology.machines)))
        return Role(msg("no quorum: {said}", said=rest), wrong=True) if "NOQUORUM" in first else Role()

    @override
    def forget_members(
        self, topology: Topology, service: Service, doors: Callable[[Service], Door | None]
    ) -> None:
        # It never forgets one that it has seen, and a majority is of those that it knows.
        # https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#adding-or-removing-sentinels
        door = doors(service)
        if door is None:
            return
        asked = operators(door, topology, service)
        name, others = topology.spec.project, len(topology.of_kind(service.kind)) - 1
        if _known(asked, name) == others:
            return
        lines_of(asked, "SENTINEL", "RESET", name)
        until = time.monotonic() + _SECONDS
        while _known(asked, name) != others:
            if time.monotonic() > until:
                raise OpsError(
                    msg("{service} can't find the other Sentinels again", service=service.name),
                    f"`techsapo logs {service.name}`",
                )
            time.sleep(_PAUSE)


def _known(door: Door, name: str) -> int:
    """How many other Sentinels it knows."""
    lines = lines_of(door, "SENTINEL", "MASTER", name)
    fields = dict(zip(lines[::2], lines[1::2], strict=False))
    return int(fields.get("num-other-sentinels", "-1"))


RUNTIME = SentinelRuntime()
