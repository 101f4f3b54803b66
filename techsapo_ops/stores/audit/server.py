"""The MariaDB with the audit log, as a process reaches it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret


@dataclass(frozen=True, slots=True)
class AuditServer:
    """Where it is, what it is asked for and with which login; `ca` is the CA of one that speaks TLS.

    `others` are the further members of its cluster, in the order in which they are tried.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret | None = None
    ca: Path | None = None
    others: tuple[Address, ...] = ()

    @property
    def members(self) -> tuple[AuditServer, ...]:
        """Each server alone, the preferred one first."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, host=each.host, port=each.port) for each in self.others))

    @property
    def place(self) -> str:
        """HOST:PORT, of a cluster those of all its members."""
        return ", ".join(f"{each.host}:{each.port}" for each in self.members)


def audit_server(
    spec: Mysql | None, ca: Path | None = None, others: tuple[Address, ...] = ()
) -> AuditServer | None:
    """The server that `spec` is about, and `others` of its cluster; None where the audit log is SQLite."""
    if spec is None:
        return None
    return AuditServer(spec.host, spec.port, spec.database, spec.user, spec.password, ca, others)
