"""The mysqld exporter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service_facts import Probe, ServiceFacts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

CNF = "mysqld-exporter.cnf"
_DOLLAR = "TECHSAPO_DOLLAR"
"""The exporter expands `$NAME` in my.cnf and has no escape for it: a variable holds the dollar."""


class MysqldExporter(Kind):
    """prometheus-mysqld-exporter."""

    facts = ServiceFacts(
        kind="mysqld-exporter",
        title=msg("mysqld exporter"),
        binary="prometheus-mysqld-exporter",
        package="prometheus-mysqld-exporter",
        image="prom/mysqld-exporter:v0.17.2",
        port=9104,
        user="prometheus",
        uid=65534,
        probe=Probe("http", "/"),
        needs=("mysql",),
        metrics_path="/metrics",
    )
    watches = "mysql"
    networks = ("data", "metrics")
    port_setting = "monitoring.exporters.mysqld"

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where there is a MariaDB to watch."""
        port = spec.monitoring.exporters.mysqld
        if port is not None and spec.mysql is not None:
            yield Wanted(self.name, LOOPBACK, port)

    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        """my.cnf with the login, where the spec has the password."""
        from techsapo_ops.stack.secrets import secret_file

        mysql = topology.spec.mysql
        if mysql is not None and mysql.password is not None:
            yield secret_file(CNF, exporter_cnf(topology, mysql.password.reveal()), self.name)

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """my.cnf with the login that was made at the first start."""
        mysql = topology.spec.mysql
        return {CNF: topology.layout.keys / CNF} if mysql is not None and mysql.password is None else {}

    def program(self, topology: Topology, service: Service) -> Program:
        """The exporter, on its port."""
        from techsapo_ops.stack.desired import Program

        argv = (
            executable(service),
            *self._arguments(topology, service, config_file(topology)),
            f"--web.listen-address={topology.listens(service)}",
        )
        return Program(
            service.name,
            argv,
            topology.layout.run,
            environment={_DOLLAR: "$"},
            user=service.user,
            config=("secrets/mysqld-exporter",),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in its image."""
        from techsapo_ops.stack.container import Container, wget

        return Container(
            command=self._arguments(topology, service, topology.secret_path(CNF)),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, "/"),
            environment={_DOLLAR: "$"},
        )

    @staticmethod
    def _arguments(topology: Topology, service: Service, cnf: Path) -> tuple[str, ...]:
        from techsapo_ops.stack.address import Viewpoint

        watched = topology.address(topology.beside(service, "mysql"), Viewpoint.SERVICE)
        return f"--config.my-cnf={cnf}", f"--mysqld.address={watched}"


def config_file(topology: Topology) -> Path:
    """my.cnf with the exporter's credentials, as a process of this host finds it.

    A rendered secret where the spec has the password, else the file that the engine writes when it
    makes one: the bytes that render returns may not hold a random value.
    """
    mysql = topology.spec.mysql
    given = mysql is not None and mysql.password is not None
    return topology.secret_path(CNF) if given else topology.layout.keys / CNF


def exporter_cnf(topology: Topology, password: str) -> str:
    """my.cnf with the app's login, as mysqld exporter reads it: through go-ini, after expanding `$NAME`.

    `$` is written as a variable that holds one; between triple quotes go-ini takes everything else as it is,
    but for `%(key)s`. The exporter takes a `?` for the start of its own connection parameters. Raises
    OpsError for a password with one of those or with a line break.
    """
    if re.search(r"[\r\n\0?]|%\((user|password)\)s", password):
        raise OpsError(
            msg(
                "mysql.password: mysqld exporter can't be given a password with ?, `%(user)s` or a line break"
            ),
            msg("choose another password, or set monitoring.exporters.mysqld: null"),
        )
    user = topology.spec.mysql.user if topology.spec.mysql is not None else ""
    literal = password.replace("$", f"${{{_DOLLAR}}}")
    return f'[client]\nuser = {user}\npassword = """{literal}"""\n'
