"""A database as `mariadb-dump --single-transaction` takes it, and as the client loads it again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.pipes import Running, Stalled, pour
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql import contents
from techsapo_ops.services.mysql.accounts import name
from techsapo_ops.services.mysql.session import Redefined, Session, failure, session, version
from techsapo_ops.stack.backup import Door, Part, Progress

KIND = "mysql"
DUMP = (
    "--single-transaction", "--quick", "--routines", "--triggers", "--events",
    "--hex-blob", "--default-character-set=utf8mb4",
)  # fmt: skip
"""Options of the dump; `--master-data=2` is added where the server keeps a binlog."""
_LOADING = ("--batch", "--default-character-set=utf8mb4", "--local-infile=0", "--loose-sandbox")
"""Without its sandbox the client runs `\\! COMMAND` and reads files where a dump says so; an older client
warns of the option and goes on."""
TRAILER = b"-- Dump completed"
_HEAD = 16 * 1024
_POSITION = re.compile(rb"-- CHANGE MASTER TO MASTER_LOG_FILE='([^']+)', MASTER_LOG_POS=(\d+)")
_BLOCKED = 3.0
"""Longest time in seconds that commits wait for both snapshots to be taken."""
_LOCK_WAIT = 10
_TRIES = 3


class MysqlSource:
    """A dump of one database; `stall` is how many seconds it may say nothing."""

    kind = KIND

    def __init__(self, door: Door, database: str, *, stall: float = 120.0) -> None:
        self._door = door
        self._database = database
        self._stall = stall

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write a dump into `folder`, with the counts and checksums of its very rows.

        Commits are held back while the dump and a second session take their snapshots, some 50 ms: so both
        see the same rows, and the counts and checksums of the second, taken while the dump goes on, are those
        of the dump, whatever is written meanwhile. Their places in the binlog prove it. A migration in those
        seconds makes the snapshot useless: then all is taken anew.
        """
        path = folder / f"audit-{stamp}.sql.zst"
        for _ in range(_TRIES - 1):
            try:
                return self._take(path, progress)
            except Redefined:
                path.unlink(missing_ok=True)
        return self._take(path, progress)

    def _take(self, path: Path, progress: Progress) -> Part:
        began = time.monotonic()
        with session(self._door) as facts, session(self._door) as gate:
            made_by = version(facts)
            binlog = facts.one("SELECT @@log_bin") == "1"
            for each in (facts, gate):
                each.ask(f"SET SESSION lock_wait_timeout = {max(1, min(_LOCK_WAIT, int(self._stall)))}")
            gate.ask("BACKUP STAGE START")
            gate.ask("BACKUP STAGE BLOCK_COMMIT")
            position = contents.begin(facts)
            member = _member(facts)
            options = (*DUMP, *(("--master-data=2",) if binlog else ()))
            dump_command = self._door.command("mariadb-dump", *options, self._database)
            with _collecting(facts, self._database) as counted:

                def release() -> None:
                    gate.ask("BACKUP STAGE END")
                    counted.begin()

                with Running(dump_command, read=True) as dump, PackedWriter(path, progress) as file:
                    copied = self._copy(dump, file, release)
                dumped = time.monotonic() - began
                contained = counted.result()
            at = _POSITION.search(copied.head)
            there: dict[str, Any] = {"file": at[1].decode(), "position": int(at[2])} if at else {}
            exact = copied.held and there == position
            if there and member:
                there["member"] = member  # each has a binlog of its own
        known: dict[str, Any] = {
            "database": self._database, "binlog": there, "exact": exact,
            "dump_seconds": round(dumped, 3), **contained,
        }  # fmt: skip
        return Part(
            KIND, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(time.monotonic() - began, 3), made_by, known,
        )  # fmt: skip

    def _copy(self, dump: Running, file: PackedWriter, release: Callable[[], object]) -> _Copied:
        """Copy the dump; `release` lets commits go on once its first bytes are there."""
        copied = _Copied()
        data = b""
        try:
            # mariadb-dump's output is buffered: when the first block comes, its transaction has begun.
            data = dump.read(_BLOCKED)
            copied.held = True
        except Stalled:
            copied.held = False
        finally:
            release()  # whatever becomes of the dump: the writers must not wait for it
        if not copied.held:
            data = self._next(dump)
        while data:
            if len(copied.head) < _HEAD:
                copied.head += data
            copied.tail = (copied.tail + data)[-200:] if len(data) < 200 else data[-200:]
            file.write(data)
            data = self._next(dump)
        if dump.wait() != 0:
            raise failure(dump)
        if TRAILER not in copied.tail:
            raise OpsError(
                msg("mariadb-dump wrote nothing")
                if file.raw_bytes == 0
                else msg("the output of mariadb-dump is incomplete"),
                msg(
                    "the last line of the output must be `-- Dump completed`; check whether another program "
                    "named mariadb-dump comes first on PATH"
                ),
            )
        return copied

    def _next(self, dump: Running) -> bytes:
        try:
            return dump.gather(self._stall)
        except Stalled:
            with session(self._door, timeout=30) as asking:
                raise _stalled(asking, self._stall) from None


def _member(facts: Session) -> str:
    """The name of a member of a cluster; empty for a server alone."""
    named = dict(facts.ask("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_node_name')"))
    return named.get("wsrep_node_name", "") if named.get("wsrep_on") == "ON" else ""


class _Counting:
    """Facts that are counted in a session while the dump goes on."""

    def __init__(self, facts: Session, database: str, pool: ThreadPoolExecutor) -> None:
        self._work = lambda: contents.collect(facts, database)
        self._pool = pool
        self._future: Future[dict[str, Any]] | None = None

    def begin(self) -> None:
        self._future = self._pool.submit(self._work)

    def result(self) -> dict[str, Any]:
        assert self._future is not None  # noqa: S101 - begun when the dump had begun
        return self._future.result()


@contextmanager
def _collecting(facts: Session, database: str) -> Iterator[_Counting]:
    with ThreadPoolExecutor(1, "facts") as pool:
        try:
            yield _Counting(facts, database, pool)
        except BaseException:
            facts.end()  # or the pool would wait for a checksum that nobody wants any more
            raise


class _Copied:
    head: bytes = b""
    tail: bytes = b""
    held: bool = False


def _stalled(asking: Session, stall: float) -> OpsError:
    waiting = asking.ask(
        "SELECT STATE FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%lock%' LIMIT 1"
    )
    if waiting:
        return OpsError(
            msg("the dump has waited {stall:g} s for a lock: {waiting}", stall=stall, waiting=waiting[0][0]),
            msg("end the session that holds the lock (`SHOW PROCESSLIST` shows that session) and try again"),
        )
    return OpsError(
        msg("MariaDB has sent nothing for {stall:g} s", stall=stall),
        msg("`techsapo logs mysql` may show why"),
    )


def check(part: Part, reader: PackedReader) -> list[str]:
    """What is wrong with a dump, by its length and its last line."""
    tail = b""
    for data in reader:
        tail = (tail + data)[-200:] if len(data) < 200 else data[-200:]
    if reader.raw_bytes != part.raw_bytes:
        return [
            msg(
                "the backup holds {actual} bytes, not {expected}",
                actual=reader.raw_bytes,
                expected=part.raw_bytes,
            )
        ]
    if TRAILER not in tail:
        return [msg("the dump is incomplete: its last line is not `-- Dump completed`")]
    return []


def plain(part: Part) -> bool:
    """Whether the dump holds tables alone: views, triggers and the like are made in somebody else's name,
    which takes all rights."""
    return not any(part.facts[each] for each in ("views", "triggers", "routines", "events"))


def load(door: Door, database: str, reader: PackedReader, progress: Progress) -> None:
    """Make `database` anew and load the dump into it. Raises OpsError with the server's words.

    The dump's statements run with the rights of the account that `door` logs in.
    """
    with session(door) as asking:
        asking.ask(f"DROP DATABASE IF EXISTS {name(database)}")
        asking.ask(f"CREATE DATABASE {name(database)} CHARACTER SET utf8mb4")
    with Running(door.command("mariadb", *_LOADING, database), feed=True) as client:
        try:
            pour(reader, client, progress)
        except OpsError as error:
            if client.said:
                raise failure(client) from error
            raise
        if client.wait() != 0:
            raise failure(client)
