"""SQLite audit logs: each is swapped in by a rename, and the file that was there stays beside it."""

from __future__ import annotations

from typing import Any

from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup.bring_back import Live, Told
from techsapo_ops.operations.backup.sources import Stack, audit_database
from techsapo_ops.services import sqlite


class LiveSqlite(Live):
    """See Live."""

    beside = True

    def homeless(self, stack: Stack, kind: str) -> str:  # noqa: ARG002 - see below
        """See Live. That of an instance which was scaled away goes where it was: it is read there as well."""
        return ""

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        """See Live; the copy's own version where it is gone, since any SQLite of the app reads it."""
        found = _look(stack, part.kind)
        if found is None:
            return part.server, ""
        rows = sum(table["rows"] for table in found["tables"].values())
        return f"SQLite {found['sqlite']}", f"{rows:,} rows in {len(found['tables'])} tables"

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live."""
        database = _database(stack, part.kind)
        stack.engine.make_data(_instance(part.kind), stack.topology.of_kind("app")[0].name)
        database.put(backup.reader(part), part, lambda count: told(part.kind, count))

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live."""
        found = _look(stack, part.kind)
        return sqlite.differences(part.facts, found) if found is not None else ["it is not there"]

    def back(self, stack: Stack, kind: str) -> None:
        """See Live."""
        if _there(stack, kind):
            _database(stack, kind).run("back")

    def done(self, stack: Stack, kind: str) -> None:
        """See Live."""
        _database(stack, kind).run("done")


def _instance(kind: str) -> str:
    return kind.partition(":")[2]


def _database(stack: Stack, kind: str) -> sqlite.Database:
    return audit_database(stack, _instance(kind))


def _there(stack: Stack, kind: str) -> bool:
    """Whether there is a folder to look into; that of an instance which is gone may be gone as well."""
    name = _instance(kind)
    return stack.topology.find(name) is not None or name in stack.engine.left("app")


def _look(stack: Stack, kind: str) -> dict[str, Any] | None:
    return _database(stack, kind).look() if _there(stack, kind) else None
