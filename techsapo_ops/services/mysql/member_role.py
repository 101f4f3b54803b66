"""What a member of the cluster of MariaDBs is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.role import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_SECONDS = 10.0
_SERVES = frozenset({"Synced", "Donor/Desynced"})
"""States in which a member takes part, by wsrep_local_state_comment."""

_ASKED = "'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size'"


def question(topology: Topology, service: Service) -> Command:  # noqa: ARG001 - alike on all hosts
    """What asks it, in its container; https://mariadb.com/docs/galera-cluster has the words."""
    return Command(
        (
            "mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=mysql", "--batch",
            "--skip-column-names", f"--execute=SHOW GLOBAL STATUS WHERE Variable_name IN ({_ASKED})",
        )
    )  # fmt: skip


def missing(stack: Stack) -> Iterator[str]:
    """Which members don't see all of the others, by what each says itself."""
    for service in stack.topology.of_kind("mysql"):
        try:
            asking = stack.engine.enter(service.name, question(stack.topology, service))
            said = stack.runner.run(asking, timeout=_SECONDS).stdout.decode(errors="replace")
        except OpsError as error:
            yield msg("{name}: {why}", name=service.name, why=error.message)
            continue
        found = _values(said)
        if found.get("wsrep_cluster_size") != str(len(stack.topology.machines)) or (
            found.get("wsrep_cluster_status") != "Primary"
        ):
            why = told(stack.topology, said).words or msg("it does not answer")
            yield msg("{name}: {why}", name=service.name, why=why)


def told(topology: Topology, said: str) -> Role:
    """What its answer says."""
    found = _values(said)
    if "wsrep_cluster_size" not in found:
        return Role()
    size, state = found["wsrep_cluster_size"], found.get("wsrep_local_state_comment", "?")
    members = msg("{count} of {all} members", count=size, all=len(topology.machines))
    if found.get("wsrep_cluster_status") != "Primary":
        return Role(msg("no quorum: it sees {members}", members=members), wrong=True)
    return Role(
        msg("{state}, quorum: {members}", state=state.lower(), members=members), wrong=state not in _SERVES
    )


def _values(said: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
