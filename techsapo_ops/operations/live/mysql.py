"""MariaDB: the database is dropped and loaded anew while the server runs."""

from __future__ import annotations

from techsapo_ops.backup import mysql_facts
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.mysql_session import session, version
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup_stack import Stack, mysql_door
from techsapo_ops.operations.deep_verify import load
from techsapo_ops.operations.live.base import Live, Told


class LiveMysql(Live):
    """See Live."""

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:  # noqa: ARG002 - see Live
        """See Live."""
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(mysql_door(stack)) as asking:
            tables = mysql_facts.rows(asking, stack.spec.mysql.database)
            return version(asking), f"{sum(tables.values()):,} rows in {len(tables)} tables"

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live."""
        load(
            mysql_door(stack), str(part.facts["database"]), backup.folder / part.file,
            lambda count: told("mysql", count),
        )  # fmt: skip

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        with session(mysql_door(stack)) as asking:
            same = version(asking) == part.server
            return mysql_facts.differences(part.facts, asking, str(part.facts["database"]), checksums=same)
