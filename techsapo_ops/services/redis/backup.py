"""Redis's keys: a snapshot, checked by its own tool, and brought back while Redis is stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.pipes import Running, pour
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.redis import contents
from techsapo_ops.services.redis.client import (
    calm,
    door_to,
    in_step,
    redis_door,
    scratch_client,
    scratch_door,
    several,
    trouble,
)
from techsapo_ops.stack.backup import Amount, BackupKind, Door, Part, Progress, Source, Trial, Untouched
from techsapo_ops.stack.service import Service, Tool
from techsapo_ops.stack.shapes import count, digits, each, has, listed, number, text
from techsapo_ops.stack.step import Action, Step

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack


KIND = "redis"
_DELAY = "repl-diskless-sync-delay"
_EOF_MARK = 40
"""Bytes of the mark that ends a transfer of unknown length; redis-cli leaves it at the end of a pipe."""
_MAGIC = re.compile(rb"REDIS\d{4}")


class RedisSource:
    """A snapshot of one Redis; `stall` is how many seconds it may say nothing."""

    kind = KIND

    def __init__(self, door: Door, *, stall: float = 120.0) -> None:
        self._door = door
        self._stall = stall

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write a snapshot into `folder`, with counts and digests that hold for its very moment."""
        began = monotonic()
        before = contents.counts(self._door)
        sample = contents.pick(self._door, before)
        path = folder / f"redis-{stamp}.rdb.zst"
        with self._without_delay():
            before = contents.counts(self._door)
            with (
                Running(self._door.command("redis-cli", "--rdb", "-"), read=True) as dump,
                PackedWriter(path, progress) as file,
            ):
                # The snapshot is the moment of the server's fork, which is over when its first byte comes.
                data = dump.read(self._stall)
                after = contents.counts(self._door)
                _copy(dump, data, file, self._stall)
                if dump.wait() != 0 or file.raw_bytes == 0:
                    raise _failed(dump)
        unchanged = contents.unchanged(sample, contents.look(self._door, sample))
        facts = {
            "databases": {
                db: {"keys": keys, "expires": before.expires[db]} for db, keys in before.keys.items()
            },
            "changes": contents.changes_between(before, after),
            "sample": unchanged,
        }
        return Part(
            KIND, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(monotonic() - began, 3), f"Redis {before.version}", facts,
        )  # fmt: skip

    @contextmanager
    def _without_delay(self) -> Iterator[None]:
        """Let the transfer start at once: the server else waits 5 s for a second replica to share it."""
        lines = contents.ask(self._door, "CONFIG", "GET", _DELAY).splitlines()
        delay = lines[1] if len(lines) > 1 else "0"
        if delay == "0":
            yield
            return
        contents.ask(self._door, "CONFIG", "SET", _DELAY, "0")
        try:
            yield
        finally:
            contents.ask(self._door, "CONFIG", "SET", _DELAY, delay)


def _copy(dump: Running, data: bytes, file: PackedWriter, stall: float) -> None:
    """Copy what comes, but for the mark at the end."""
    held = b""
    while data:
        held += data
        if len(held) > _EOF_MARK:
            file.write(held[:-_EOF_MARK])
            held = held[-_EOF_MARK:]
        data = dump.gather(stall)
    if "until EOF marker" not in dump.said:
        file.write(held)


def _failed(dump: Running) -> OpsError:
    said = " ".join(dump.said.splitlines()[-1:])
    return OpsError(
        msg("the snapshot of Redis is incomplete: {said}", said=said or msg("Redis sent nothing")),
        msg("`techsapo logs redis` shows why; there may be too little memory for a fork"),
    )


def check(part: Part, reader: PackedReader, enter: Callable[[Command], Command]) -> list[str]:
    """What redis-check-rdb finds wrong with a snapshot; it checks every byte and the checksum at the end.

    `enter` makes a command run where Redis's tools are.
    """
    with Running(enter(Command(("redis-check-rdb", "/dev/stdin"))), read=True, feed=True) as checker:
        begin = b""
        try:
            for data in reader:
                begin = begin or data[:9]
                checker.write(data)
        except OpsError:
            if checker.wait(60) == 0:
                raise
        code = checker.wait(60)
        output = b""
        while more := checker.read():
            output += more
    if not _MAGIC.match(begin):
        return [msg("the file is not a Redis snapshot")]
    if code != 0:
        lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
        why = " ".join(lines[-2:])[:300] or msg("exit code {code}", code=code)
        return [msg("redis-check-rdb: {why}", why=why)]
    if reader.raw_bytes != part.raw_bytes:
        return [
            msg(
                "the backup holds {actual} bytes, not {expected}",
                actual=reader.raw_bytes,
                expected=part.raw_bytes,
            )
        ]
    return []


# The file is whole, by its size, before anything that is there goes. With an append-only file Redis does not
# look at dump.rdb: it would come up with 0 keys; a snapshot is a valid base of an append-only file instead.
# Flushed before it has its name: after a power cut Redis does not start with an empty file. The `sync` of an
# image may take no names.
_PUT = """set -e
rm -rf .restoring; mkdir .restoring
file=.restoring/dump.rdb
if [ "$1" = yes ]; then
  mkdir .restoring/appendonlydir
  file=.restoring/appendonlydir/appendonly.aof.1.base.rdb
  echo 'file appendonly.aof.1.base.rdb seq 1 type b' > .restoring/appendonlydir/appendonly.aof.manifest
fi
cat > "$file"
[ "$(wc -c < "$file")" -eq "$2" ] || { echo "only a part of the snapshot came" >&2; exit 1; }
sync -f . 2>/dev/null || sync
rm -rf dump.rdb appendonlydir
mv .restoring/* .
rmdir .restoring
sync . 2>/dev/null || sync
"""


def _sample(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and count(value[0])
        and isinstance(value[1], str)
        and re.fullmatch("([0-9a-f]{2})*", value[1]) is not None
        and text(value[2])
        and re.fullmatch(r"-1|\d{1,19}", str(value[3])) is not None
    )


_FACTS = has(databases=each(has(keys=count, expires=count), digits), changes=number, sample=listed(_sample))


class RedisBackup(BackupKind):
    """The keys of every database of the stack's Redis."""

    name = KIND
    title = "Redis's keys"
    stops = ("app",)
    restarts = True
    throwaway = "redis"
    tools = (Tool("redis-cli", "redis-tools", msg("reads the data of Redis")),)

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if not stack.topology.has("redis"):
            return msg("this stack has no Redis")
        return [_Source(stack)]

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    @override
    def describe(self, part: Part) -> str:
        return msg("{count:,} keys", count=sum(db["keys"] for db in part.facts["databases"].values()))

    @override
    def amount(self, part: Part) -> Amount:
        # Kept answers, counters and the like expire: how many there are says how busy the day was.
        return Amount("keys", sum(db["keys"] - db["expires"] for db in part.facts["databases"].values()))

    @override
    def present_amount(self, stack: Stack, service: str) -> Amount | None:
        return Amount("keys", sum(contents.counts(redis_door(stack)).keys.values()))

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        # Without a Redis in the stack there is its package at most.
        service = next(iter(stack.topology.of_kind("redis")), None)
        return check(
            part, reader, lambda command: stack.engine.tool(service.name, command) if service else command
        )

    @override
    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        began = monotonic()
        with self.restored(stack, part, reader, progress) as scratch:
            seconds = monotonic() - began
            wrong = contents.differences(part.facts, scratch_door(scratch, stack.runner))
        return Trial(wrong, seconds)

    @override
    @contextmanager
    def restored(
        self, stack: Stack, part: Part, reader: PackedReader, progress: Progress
    ) -> Iterator[Scratch]:
        def seed(folder: Path) -> None:
            reader.unpack(folder / "dump.rdb", progress)

        with stack.engine.scratch("redis", seed=seed) as scratch:
            yield scratch

    @override
    def client(self, scratch: Scratch) -> Command:
        return scratch_client(scratch)

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        counts = contents.counts(redis_door(stack))
        return f"Redis {counts.version}", msg("{count:,} keys", count=sum(counts.keys.values()))

    @override
    def missing(self, stack: Stack) -> Sequence[str]:
        if len(stack.topology.of_kind("redis")) == 1:
            return ()
        return tuple(trouble(stack.topology, lambda server: door_to(stack, server)))

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        # Of several into the master: while it is away none of the others may run, or one took its place.
        service, *others = _master_first(stack)
        _halt(stack, (*others, service))
        if others:  # a failover that was under way may have ended before the last of them
            service, *others = _master_first(stack)
        append = "yes" if stack.spec.redis.appendonly or others else "no"
        put = Command(("sh", "-c", _PUT, "sh", append, str(part.raw_bytes)))
        with Running(stack.engine.beside(service.name, put), feed=True) as shell:
            pour(reader, shell, progress)
            shell.finish()
        Step(Action.RESTART, service.name, msg("it was restored")).perform(stack.engine)
        if others:
            calm(stack.topology, lambda server: door_to(stack, server), stack.pause)
        for server in others:  # which copy all of it again
            Step(Action.RESTART, server.name, msg("it was restored")).perform(stack.engine)
        if others:  # until then one of them could become the master with what it had before
            in_step(service, others, lambda server: door_to(stack, server), stack.pause)

    @override
    def spent(self, stack: Stack, kind: str) -> Mapping[str, int]:
        return contents.spent(redis_door(stack), stack.spec.project)

    @override
    def keep_spent(self, stack: Stack, kind: str, before: Mapping[str, int]) -> None:
        contents.keep_spent(redis_door(stack), before)

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        return contents.differences(part.facts, redis_door(stack))


class _Source:
    """The keys, of several Redis the master's, which is looked for then: without one all else is taken."""

    kind = KIND

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """A snapshot in `folder`; see RedisSource. Raises OpsError."""
        return RedisSource(redis_door(self._stack)).take(folder, stamp, progress)


def _master_first(stack: Stack) -> tuple[Service, ...]:
    servers = stack.topology.of_kind("redis")
    if len(servers) == 1:
        return servers
    master = several(stack.topology, lambda service: door_to(stack, service)).master
    return (master, *(server for server in servers if server != master))


def _halt(stack: Stack, servers: Sequence[Service]) -> None:
    """Stop them one after another; where one can't be, those that were stopped are started again."""
    halted: list[Service] = []
    try:
        for server in servers:
            stack.engine.halt(server.name)
            halted.append(server)
    except OpsError as error:
        said = [error.message]
        for server in halted:
            try:
                Step(Action.RESTART, server.name, msg("nothing was restored")).perform(stack.engine)
            except OpsError as failed:
                said.append(failed.message)
        raise Untouched(joined("\n", said), error.hint) from None


BACKUP = RedisBackup()
