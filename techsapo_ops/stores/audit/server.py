"""The MariaDB with the audit log, as a process reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.spec.secret import Secret


@dataclass(frozen=True, slots=True)
class AuditServer:
    """Where it is, what it is asked for and with which login; `ca` is the CA of one that speaks TLS."""

    host: str
    port: int
    database: str
    user: str
    password: Secret | None = None
    ca: Path | None = None


def audit_server(spec: Mysql | None, ca: Path | None = None) -> AuditServer | None:
    """The server that `spec` is about; None where the audit log is SQLite."""
    if spec is None:
        return None
    return AuditServer(spec.host, spec.port, spec.database, spec.user, spec.password, ca)
