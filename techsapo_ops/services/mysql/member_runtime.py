"""What an engine does of a member of the cluster of MariaDBs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.made_secrets import made_key
from techsapo_ops.services.mysql.member import KEY, NO_WORD, cluster_accounts, gone_command
from techsapo_ops.services.mysql.runtime import MysqlRuntime
from techsapo_ops.services.mysql.session import PASSES
from techsapo_ops.services.runtime import Settling
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


_SECONDS = 10.0
_SERVES = frozenset({"Synced", "Donor/Desynced"})
"""States in which a member takes part, by wsrep_local_state_comment."""

_ASKED = "'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size'"


def missing(stack: Stack) -> Iterator[str]:
    """Which members don't see all of the others, by what each says itself."""
    for service in stack.topology.of_kind("mysql"):
        try:
            asking = stack.engine.enter(service.name, RUNTIME.role_question(stack.topology, service))
            said = stack.runner.run(asking, timeout=_SECONDS).stdout.decode(errors="replace")
        except OpsError as error:
            yield msg("{name}: {why}", name=service.name, why=error.message)
            continue
        status = _values(said)
        if status.get("wsrep_cluster_size") != str(len(stack.topology.machines)) or (
            status.get("wsrep_cluster_status") != "Primary"
        ):
            why = RUNTIME.role(stack.topology, said).words or msg("no answer")
            yield msg("{name}: {why}", name=service.name, why=why)


def _values(said: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)


class MemberRuntime(MysqlRuntime):
    """As alone, with a key and an account of the cluster's."""

    settles = cluster_accounts()

    @override
    def role_question(self, topology: Topology, service: Service) -> Command:
        # https://mariadb.com/docs/galera-cluster has the words.
        return Command(
            (
                "mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=mysql", "--batch",
                "--skip-column-names", f"--execute=SHOW GLOBAL STATUS WHERE Variable_name IN ({_ASKED})",
            )
        )  # fmt: skip

    @override
    def role(self, topology: Topology, said: str) -> Role:
        status = _values(said)
        if "wsrep_cluster_size" not in status:
            return Role()
        size, state = status["wsrep_cluster_size"], status.get("wsrep_local_state_comment", "?")
        members = msg("{count} of {all} members", count=size, all=len(topology.machines))
        if status.get("wsrep_cluster_status") != "Primary":
            return Role(msg("no quorum: this member sees {members}", members=members), wrong=True)
        return Role(
            msg("{state}, quorum: {members}", state=state.lower(), members=members),
            wrong=state not in _SERVES,
        )

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
                return msg("{service} did not accept that {gone} is lost: {said}",
                           service=service.name, gone=gone, said=done.output)  # fmt: skip
        return ""


RUNTIME = MemberRuntime()
