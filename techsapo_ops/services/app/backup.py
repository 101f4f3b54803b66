"""SQLite audit logs: each is swapped in by a rename, and the file that was there stays beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.messages import msg
from techsapo_ops.services import audit_spent, sqlite
from techsapo_ops.stack.backup import Amount, Door, Part, Progress, Source

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_FILE = "audit.sqlite"
"""Name of the audit log in the data folder of each instance of the app."""


class AuditLogBackup(sqlite.SqliteBackup):
    """The audit log of each instance of the app, where the stack has no MariaDB for all of them."""

    name = "sqlite"
    title = "the audit logs"
    stops = ("app",)
    keeps_replaced = True

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if stack.topology.has("mysql"):
            return msg("the audit log is in MariaDB")
        sources = [
            sqlite.SqliteSource(
                f"{self.name}:{name}", "audit" if name == "app" else f"audit-{name}", _database(stack, name)
            )
            for name in self.instances(stack)
        ]
        return sources or msg("there is no audit log yet")

    def instances(self, stack: Stack) -> tuple[str, ...]:
        """Those that have a file; rows of instances that were scaled away are as precious as the others'."""
        if stack.topology.places.shares_data:
            return ()
        names = (*(service.name for service in stack.topology.of_kind("app")), *stack.engine.left("app"))
        return tuple(n for n in names if stack.engine.has_data(n, _FILE, image_of=_image_of(stack, n)))

    def ask(self, stack: Stack, instance: str, *statements: str) -> list[list[object]]:
        """Run statements in one transaction, and what rows they give; none where it has no audit log yet."""
        rows: list[list[object]] = json.loads(
            _database(stack, instance).run("ask", audit_spent.TABLE, *statements)
        )
        return rows

    @override
    def homeless(self, stack: Stack, kind: str) -> str:
        if stack.topology.places.shares_data:  # by all hosts: it was taken on one, before the stack moved
            return msg("the audit log is in MariaDB")
        # That of an instance which was scaled away goes where it was: it is read there as well.
        return ""

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        facts = _look(stack, part.kind)
        if facts is None:
            return part.server, ""  # any SQLite of the app reads the copy
        return f"SQLite {facts['sqlite']}", sqlite.described(facts)

    @override
    def present_amount(self, stack: Stack, service: str) -> Amount | None:
        facts = _database(stack, service).look()
        return None if facts is None else Amount("rows", sum(t["rows"] for t in facts["tables"].values()))

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        name = _instance(part.kind)
        _database(stack, name).put(reader, part, progress)

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        facts = _look(stack, part.kind)
        return (
            sqlite.differences(part.facts, facts) if facts is not None else [msg("the database is missing")]
        )

    @override
    def spent(self, stack: Stack, kind: str) -> Mapping[str, int]:
        if not _has_folder(stack, kind):
            return {}
        from techsapo_ops.stack.data_notes import read_note  # `techsapo backup --help` needs no pydantic

        resets = read_note(stack.layout.budget_note).resets.values()
        asked = audit_spent.query(audit_spent.TABLE, _now(), resets)
        return audit_spent.spent_of(self.ask(stack, _instance(kind), asked))

    @override
    def keep_spent(self, stack: Stack, kind: str, before: Mapping[str, int]) -> None:
        lacking = audit_spent.carrying(audit_spent.TABLE, before, self.spent(stack, kind))
        if lacking:
            self.ask(stack, _instance(kind), *lacking)

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        if _has_folder(stack, kind):
            _database(stack, _instance(kind)).run("back")

    @override
    def forget(self, stack: Stack, kind: str) -> None:
        _database(stack, _instance(kind)).run("done")


def _now() -> datetime:
    return datetime.now(UTC)


def _instance(kind: str) -> str:
    return kind.partition(":")[2]


def _app(stack: Stack) -> str:
    return stack.topology.of_kind("app")[0].name


def _image_of(stack: Stack, service: str) -> str:
    """Whose image holds the program for the folder of `service`, which may be one that was scaled away."""
    return "" if stack.topology.find(service) is not None else _app(stack)


def _database(stack: Stack, service: str) -> sqlite.Database:
    image_of = _image_of(stack, service)
    door = Door(stack.runner, lambda command: stack.engine.beside(service, command, image_of=image_of))
    return sqlite.Database(door, _FILE, stack.engine.python, AuditLogBackup.name)


def _has_folder(stack: Stack, kind: str) -> bool:
    """Whether there is a folder to look into; that of an instance which is gone may be gone as well."""
    name = _instance(kind)
    return stack.topology.find(name) is not None or name in stack.engine.left("app")


def _look(stack: Stack, kind: str) -> dict[str, Any] | None:
    return _database(stack, _instance(kind)).look() if _has_folder(stack, kind) else None


BACKUP = AuditLogBackup()
