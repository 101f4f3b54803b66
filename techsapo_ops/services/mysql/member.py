"""MariaDB as a member of a cluster: one on each of several machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.mysql.kind import Mysql

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class MysqlMember(Mysql):
    """mariadbd, started by the script that finds the others."""

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """The same with the cluster in my.cnf, and the script."""
        from techsapo_ops.services.mysql.configuration import mysql_files
        from techsapo_ops.services.mysql.galera import cluster, cluster_accounts, cluster_file

        files = mysql_files(topology, templates, cluster=cluster(topology), accounts=cluster_accounts())
        return (*files, cluster_file(topology, templates))

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Also that by which members know each other."""
        from techsapo_ops.services.mysql.galera import KEY

        return {**super().made_secrets(topology), KEY: topology.layout.keys / KEY}

    def container(self, topology: Topology, service: Service) -> Container:
        """Without a health check: Swarm tells others its address only once it is healthy, for which it needs
        them.
        """
        from techsapo_ops.services.mysql.galera import member_command, ready_command

        return replace(
            super().container(topology, service),
            command=member_command(topology, service.name),
            healthcheck=(),
            ready=ready_command(topology),
        )


MEMBER = MysqlMember()
