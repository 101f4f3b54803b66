"""MariaDB as a member of a cluster: one on each of several machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.services.mysql.kind import Mysql, mysql_files
from techsapo_ops.stack.desired import RenderedFile

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


SCRIPT = "mysql/member.sh"
KEY = "mysql-cluster.pem"
"""The secret by which members know each other: a private key, and a certificate that it signed itself."""
NO_WORD = 3
"""How `gone_command` ends where the cluster runs, so that nobody waits for a word."""
TELL_PORT = 4569
"""Where a member tells its position. Galera's own are 4567 and 4568, that of a full copy is 4444."""
COPIES_BY = "'mysql'@'localhost'"
"""The account by which a member's data is copied for another one: system user `mysql`, by the socket."""

_OPTIONS: Mapping[str, str] = {
    "gcache.size": "128M",  # what a member missed while it was away, and needs no full copy for
    # A lost member is done without after two to four seconds: writes wait for that long.
    "evs.keepalive_period": "PT0.5S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT4S",
    "evs.inactive_check_period": "PT0.5S",
    "evs.install_timeout": "PT4S",
    "gmcast.peer_timeout": "PT2S",
    # A member that finds no cluster ends after six seconds, and looks anew; positions decide, not what the
    # members were when they were killed.
    "pc.announce_timeout": "PT2S",
    "pc.wait_prim_timeout": "PT6S",
    "pc.recovery": "FALSE",
}
"""Those that are not the default, by MariaDB's page on wsrep_provider_options."""


class MysqlMember(Mysql):
    """mariadbd, started by the script that finds the others."""

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """The same with the cluster in my.cnf, and the script."""
        files = mysql_files(topology, templates, cluster=cluster(topology), accounts=cluster_accounts())
        return (*files, cluster_file(topology, templates))

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Also that by which members know each other."""
        return {**super().made_secrets(topology), KEY: topology.layout.keys / KEY}

    def container(self, topology: Topology, service: Service) -> Container:
        """Without a health check: Swarm tells others its address only once it is healthy, for which it needs
        them.
        """
        return replace(
            super().container(topology, service),
            command=member_command(topology, service.name),
            healthcheck=(),
            ready=ready_command(topology),
        )


def provider_options(key: Path) -> str:
    """Galera's own options. Who has no certificate by `key` is no member: each side checks the other's."""
    tls = {f"socket.ssl_{part}": str(key) for part in ("ca", "cert", "key")}
    return ";".join(f"{name}={value}" for name, value in {**_OPTIONS, **tls}.items())


def cluster(topology: Topology) -> Mapping[str, str]:
    """What my.cnf says of the cluster."""
    key = topology.secret_path(KEY)
    return {"name": topology.spec.project, "key": str(key), "options": provider_options(key)}


def cluster_accounts() -> tuple[str, ...]:
    """Statements that make the account by which a full copy is taken, and a member asked how it is.

    Its rights are those that mariadb-backup needs, by its documentation.
    """
    return (
        f"CREATE USER IF NOT EXISTS {COPIES_BY} IDENTIFIED VIA unix_socket",
        f"GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO {COPIES_BY}",
    )


def cluster_file(topology: Topology, templates: Templates) -> RenderedFile:
    """The script that starts a member."""
    services = topology.of_kind("mysql")
    text = member_script(
        templates,
        [service.name for service in services],
        data=topology.data_dir(services[0]),
        run=Path("/run/mysqld"),
        config=topology.config_dir() / "mysql",
        key=topology.secret_path(KEY),
    )
    return RenderedFile(SCRIPT, text, owner="mysql")


def member_script(
    templates: Templates, members: Sequence[str], *, data: Path, run: Path, config: Path, key: Path
) -> str:
    """The script, for `members` by the names by which they reach each other, in the order of precedence."""
    return templates.render(
        "mysql/member.sh.j2",
        members=members, data=str(data), run=str(run), cnf=str(config / "my.cnf"), secret=str(key),
        tell_port=TELL_PORT, port=3306, no_word=NO_WORD,
    )  # fmt: skip


def member_command(topology: Topology, member: str) -> tuple[str, ...]:
    """What runs the member of that name."""
    return "bash", str(topology.config_dir() / SCRIPT), member


def ready_command(topology: Topology) -> tuple[str, ...]:
    """What tells, where a member is, whether it takes statements as one of the cluster; else why not."""
    return "bash", str(topology.config_dir() / SCRIPT), "ready"


def gone_command(topology: Topology, members: Sequence[str]) -> tuple[str, ...]:
    """An operator's word that `members` are gone for good, to be run where another member is.

    Those that wait for them go on then, from the highest position that they have. It fails where one answers,
    and with NO_WORD where the cluster runs.
    """
    return "bash", str(topology.config_dir() / SCRIPT), "gone", *members


MEMBER = MysqlMember()
