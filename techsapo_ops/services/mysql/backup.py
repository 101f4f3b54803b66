"""The audit database: dumped while it is written to, and dropped and loaded anew while the server runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.files import private_folder
from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services import audit_spent
from techsapo_ops.services.mysql import contents, dump
from techsapo_ops.services.mysql.accounts import literal, name
from techsapo_ops.services.mysql.binlog import Binlog
from techsapo_ops.services.mysql.kind import NO_TLS
from techsapo_ops.services.mysql.session import Doors, Session, administrator, scratch_door, session, version
from techsapo_ops.stack.backup import Amount, BackupKind, Door, Part, Progress, Source, Trial
from techsapo_ops.stack.data_notes import read_note
from techsapo_ops.stack.service import Tool
from techsapo_ops.stack.shapes import count, each, flag, has, optional, sha256, text

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.stack import Stack

_LOADER = "loader"
_COPIED = "mysql-restoring"
_OWN_BYTES = 256 * 1024 * 1024
"""What a throwaway server takes without any row: redo and undo logs, system tables. Rows take up to twice of
what they do as SQL, with their indexes."""
_OF_THE_SERVER = frozenset({"mysql", "sys", "information_schema", "performance_schema"})


def _binlog(value: Any) -> bool:
    return value == {} or has(file=text, position=count, also={"member": text})(value)


_FACTS = has(
    database=text,
    exact=flag,
    binlog=_binlog,
    views=count,
    triggers=count,
    routines=count,
    events=count,
    tables=each(
        has(rows=count, engine=optional(text), checksum=optional(text), also={"made of": sha256}),
    ),
    objects=each(sha256),
)


class MysqlBackup(BackupKind):
    """The audit database of the stack's MariaDB."""

    name = dump.KIND
    title = "the audit database"
    stops = ("app",)
    throwaway = "mysql"
    tools = (Tool("mariadb-dump", "mariadb-client", msg("dumps the audit database")),)
    history = Binlog()

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if stack.spec.mysql is None or not stack.topology.has("mysql"):
            return msg("this stack has no MariaDB")
        return [dump.MysqlSource(administrator(stack), stack.spec.mysql.database)]

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    @override
    def describe(self, part: Part) -> str:
        tables = part.facts["tables"]
        return msg(
            "{rows:,} rows in {tables} tables",
            rows=sum(table["rows"] for table in tables.values()),
            tables=len(tables),
        )

    @override
    def amount(self, part: Part) -> Amount:
        return Amount("rows", sum(table["rows"] for table in part.facts["tables"].values()))

    @override
    def present_amount(self, stack: Stack, service: str) -> Amount | None:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            return Amount("rows", sum(contents.rows(asking, stack.spec.mysql.database).values()))

    @override
    def warnings(self, part: Part) -> Sequence[str]:
        if part.facts["exact"]:
            return ()
        return ("its facts were not taken at the moment of the dump; verify compares no rows",)

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        return dump.check(part, reader)

    @override
    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        database = str(part.facts["database"])
        with stack.engine.scratch("mysql") as scratch:
            door = scratch_door(scratch, stack.runner)
            began = monotonic()
            try:
                dump.load(_scratch_loader(stack, scratch, part), database, reader, progress)
            except OpsError as error:
                return Trial((msg("the dump can't be loaded: {message}", message=error.message),))
            seconds = monotonic() - began
            with session(door) as asking:
                same = version(asking) == part.server
                wrong = contents.differences(part.facts, asking, database, checksums=same)
        note = (
            ""
            if same
            else msg(
                "the backup was made by {server}: row counts were compared, but not checksums",
                server=part.server,
            )
        )
        return Trial(wrong, seconds, note)

    @override
    def trial_bytes(self, part: Part) -> int:
        return 2 * part.raw_bytes + _OWN_BYTES

    @override
    @contextmanager
    def restored(
        self, stack: Stack, part: Part, reader: PackedReader, progress: Progress
    ) -> Iterator[Scratch]:
        with stack.engine.scratch("mysql") as scratch:
            loader = _scratch_loader(stack, scratch, part)
            dump.load(loader, str(part.facts["database"]), reader, progress)
            yield scratch

    @override
    def client(self, scratch: Scratch) -> Command:
        password = scratch.password.reveal() if scratch.password is not None else ""
        at = (f"--host={scratch.address.host}", f"--user={scratch.user}", NO_TLS)
        return Command(("mariadb", *at), {"MYSQL_PWD": password})

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            tables = contents.rows(asking, stack.spec.mysql.database)
            rows = sum(tables.values())
            return version(asking), msg("{rows:,} rows in {tables} tables", rows=rows, tables=len(tables))

    @override
    def require(self, stack: Stack, part: Part, reader: PackedReader) -> None:
        if str(part.facts["database"]).lower() in _OF_THE_SERVER:
            raise OpsError(
                msg(
                    "{path} would replace the server's own database {facts}",
                    path=reader.path,
                    facts=part.facts["database"],
                ),
                msg("choose another backup"),
            )

    @override
    def missing(self, stack: Stack) -> Sequence[str]:
        from techsapo_ops.services.mysql.member_runtime import missing  # `techsapo backup --help` needs none

        alone = len(stack.topology.of_kind("mysql")) == 1
        return () if alone else tuple(missing(stack))

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        # The server runs a dump's statements as they come, and the digest is known at the end only: so it is
        # copied into a private folder first.
        folder = stack.layout.state / _COPIED
        if folder.exists():  # of a run that was killed
            shutil.rmtree(folder)
        private_folder(folder, stack.layout.state)
        try:
            copy = reader.copied(folder / "dump.sql.zst")
            dump.load(_loader(stack, part), str(part.facts["database"]), copy, progress)
        finally:
            shutil.rmtree(folder)

    @override
    def spent(self, stack: Stack, kind: str) -> Mapping[str, int]:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        with session(administrator(stack)) as asking:
            return _spent(asking, stack.spec.mysql.database, stack.layout)

    @override
    def keep_spent(self, stack: Stack, kind: str, before: Mapping[str, int]) -> None:
        assert stack.spec.mysql is not None  # noqa: S101 - the topology has a MariaDB
        database = stack.spec.mysql.database
        with session(administrator(stack)) as asking:
            after = _spent(asking, database, stack.layout)
            for statement in audit_spent.carrying(_table(database), before, after):
                asking.ask(statement)

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        with session(administrator(stack)) as asking:
            same = version(asking) == part.server
            return contents.differences(part.facts, asking, str(part.facts["database"]), checksums=same)


def _table(database: str) -> str:
    return f"{name(database)}.{audit_spent.TABLE}"


def _spent(asking: Session, database: str, layout: Layout) -> dict[str, int]:
    """What its audit log says; nothing where it has no such table, as a new one or a damaged one."""
    if audit_spent.TABLE not in contents.rows(asking, database):
        return {}
    resets = read_note(layout.budget_note).resets.values()
    return audit_spent.spent_of(asking.ask(audit_spent.query(_table(database), datetime.now(UTC), resets)))


def _loader(stack: Stack, part: Part) -> Door:
    """As whom a dump is loaded into the running server: if it can be, with rights in this database alone."""
    mysql = stack.spec.mysql
    assert mysql is not None  # noqa: S101 - the topology has a MariaDB
    if part.facts["database"] != mysql.database or not dump.plain(part):
        return administrator(stack)
    return Doors(stack.engine, stack.topology, stack.runner).migrations(mysql)


def _scratch_loader(stack: Stack, scratch: Scratch, part: Part) -> Door:
    """The same in a throwaway server, where the account is made for it."""
    root = scratch_door(scratch, stack.runner)
    if not dump.plain(part):
        return root
    password = scratch.password.reveal() if scratch.password is not None else ""
    with session(root) as asking:
        asking.ask(f"CREATE USER '{_LOADER}'@'%' IDENTIFIED BY {literal(password)}")
        asking.ask(f"GRANT ALL ON {name(str(part.facts['database']))}.* TO '{_LOADER}'@'%'")
    return scratch_door(scratch, stack.runner, _LOADER)


BACKUP = MysqlBackup()
