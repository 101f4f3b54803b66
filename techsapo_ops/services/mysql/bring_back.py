"""MariaDB: the database is dropped and loaded anew while the server runs."""

from __future__ import annotations

import shutil

from techsapo_ops.adapters.files import private_folder
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.bring_back import Live, Told
from techsapo_ops.operations.backup.sources import Stack, mysql_door
from techsapo_ops.operations.backup.trial import load
from techsapo_ops.services.mysql import facts as mysql_facts
from techsapo_ops.services.mysql.session import session, version

_COPIED = "mysql-restoring"
_OF_THE_SERVER = frozenset({"mysql", "sys", "information_schema", "performance_schema"})


class LiveMysql(Live):
    """See Live."""

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:  # noqa: ARG002 - see Live
        """See Live."""
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(mysql_door(stack)) as asking:
            tables = mysql_facts.rows(asking, stack.spec.mysql.database)
            return version(asking), f"{sum(tables.values()):,} rows in {len(tables)} tables"

    def require(self, stack: Stack, backup: Backup, part: Part) -> None:  # noqa: ARG002 - see Live
        """See Live. Raises OpsError for a database that is the server's own."""
        if str(part.facts["database"]).lower() in _OF_THE_SERVER:
            raise OpsError(
                f"{backup.id} would replace the server's own database {part.facts['database']}",
                "choose another one",
            )

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live.

        The dump is copied into a private folder first: the server runs its statements as they come, with all
        rights, and the digest is known at the end only.
        """
        state = stack.topology.layout.state
        folder = state / _COPIED
        if folder.exists():  # of a run that was killed
            shutil.rmtree(folder)
        private_folder(folder, state)
        try:
            copy = backup.reader(part).copied(folder / "dump.sql.zst")
            load(mysql_door(stack), str(part.facts["database"]), copy, lambda count: told("mysql", count))
        finally:
            shutil.rmtree(folder)

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        with session(mysql_door(stack)) as asking:
            same = version(asking) == part.server
            return mysql_facts.differences(part.facts, asking, str(part.facts["database"]), checksums=same)
