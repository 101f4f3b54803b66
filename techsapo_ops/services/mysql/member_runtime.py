"""What an engine does of a member of the cluster of MariaDBs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.cluster_key import made_key
from techsapo_ops.services.mysql.galera import KEY, NO_WORD, cluster_accounts, gone_command
from techsapo_ops.services.mysql.runtime import MysqlRuntime
from techsapo_ops.services.mysql.session import PASSES
from techsapo_ops.services.runtime import Settling
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class MemberRuntime(MysqlRuntime):
    """As alone, with a key and an account of the cluster's."""

    settles = cluster_accounts()

    @override
    def question(self, topology: Topology) -> Command | None:
        return None  # it answers by itself, also before its cluster has the login

    @override
    def make_keys(self, topology: Topology) -> None:
        super().make_keys(topology)
        made_key(topology.layout.keys / KEY, "mysql")

    @override
    def settling(self, topology: Topology) -> Settling | None:
        alone = super().settling(topology)
        return replace(alone, passes=PASSES) if alone is not None else None

    @override
    def give_up(self, topology: Topology, machine: str, doors: Callable[[Service], Door | None]) -> str:
        for service in topology.of_kind("mysql"):
            if service.machine.name == machine or (door := doors(service)) is None:
                continue
            gone = f"{service.kind}-{machine}"
            program, *rest = gone_command(topology, [gone])
            with suppress(OpsError):  # a host that does not answer: the next member is told
                done = door.run(program, *rest)
                if done.code in (0, NO_WORD):
                    return done.output if done.code == 0 else ""
                return msg("{service} did not take the word that {gone} is gone: {said}",
                           service=service.name, gone=gone, said=done.output)  # fmt: skip
        return ""


RUNTIME = MemberRuntime()
