"""What a member of the cluster of MariaDBs is in it."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_ASKED = "'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size'"


def question(topology: Topology, service: Service) -> Command:  # noqa: ARG001 - alike on all hosts
    """What asks it, in its container; https://mariadb.com/docs/galera-cluster has the words."""
    return Command(
        (
            "mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=mysql", "--batch",
            "--skip-column-names", f"--execute=SHOW GLOBAL STATUS WHERE Variable_name IN ({_ASKED})",
        )
    )  # fmt: skip


def words(topology: Topology, said: str) -> str:
    """Its answer in words; "" for one that says nothing of it."""
    told = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    if "wsrep_cluster_size" not in told:
        return ""
    size, state = told["wsrep_cluster_size"], told.get("wsrep_local_state_comment", "?")
    members = msg("{count} of {all} members", count=size, all=len(topology.machines))
    if told.get("wsrep_cluster_status") != "Primary":
        return msg("no quorum: it sees {members}", members=members)
    return msg("{state}, quorum: {members}", state=state.lower(), members=members)
