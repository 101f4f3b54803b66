"""The mysqld exporter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.exporter import Exporter, exporter_facts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

CNF = "mysqld-exporter.cnf"
_DOLLAR = "TECHSAPO_DOLLAR"
"""The exporter expands `$NAME` in my.cnf and has no escape for it: a variable holds the dollar."""


class MysqldExporter(Exporter):
    """prometheus-mysqld-exporter."""

    watches = "mysql"
    facts = exporter_facts(
        "mysqld-exporter", msg("mysqld exporter"), "prom/mysqld-exporter:v0.17.2", 9104, watches=watches
    )
    port_setting = "monitoring.exporters.mysqld"
    environment: Mapping[str, str] = {_DOLLAR: "$"}

    @override
    def is_wanted(self, spec: Spec) -> bool:
        return spec.mysql is not None

    @override
    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        from techsapo_ops.stack.secrets import secret_file

        mysql = topology.spec.mysql
        if mysql is not None and mysql.password is not None:
            yield secret_file(CNF, exporter_cnf(topology, mysql.password.reveal()), self.name)

    @override
    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        # Where the spec has no password: the bytes that render returns may not hold a random value.
        mysql = topology.spec.mysql
        return {CNF: topology.layout.keys / CNF} if mysql is not None and mysql.password is None else {}

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        from techsapo_ops.stack.address import Viewpoint

        rendered = topology.secret_path(CNF)
        made = self.made_secrets(topology).get(CNF)
        cnf = topology.places.seen(made, rendered) if made is not None else rendered
        watched = topology.address(topology.beside(service, self.watches), Viewpoint.SERVICE)
        return f"--config.my-cnf={cnf}", f"--mysqld.address={watched}"


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
