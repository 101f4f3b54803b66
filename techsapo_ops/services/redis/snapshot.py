"""Redis, as `redis-cli --rdb` takes it: a snapshot through the replication protocol."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.pipes import Running
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis import contents
from techsapo_ops.stack.backup import Door, Part, Progress

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
        began = time.monotonic()
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
        kept = contents.unchanged(sample, contents.look(self._door, sample))
        facts = {
            "databases": {
                db: {"keys": keys, "expires": before.expires[db]} for db, keys in before.keys.items()
            },
            "changes": contents.changes_between(before, after),
            "sample": kept,
        }
        return Part(
            KIND, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(time.monotonic() - began, 3), f"Redis {before.version}", facts,
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
        msg("Redis's snapshot broke off: {said}", said=said or msg("it sent nothing")),
        msg("`techsapo logs redis` tells why; memory for a fork may be short"),
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
        told = b""
        while more := checker.read():
            told += more
    if not _MAGIC.match(begin):
        return ["it is not a Redis snapshot"]
    if code != 0:
        lines = [line for line in told.decode(errors="replace").splitlines() if line.strip()]
        return [f"redis-check-rdb: {' '.join(lines[-2:])[:300] or f'exit code {code}'}"]
    if reader.raw_bytes != part.raw_bytes:
        return [f"it holds {reader.raw_bytes} bytes, not {part.raw_bytes}"]
    return []
