"""Restores a backup into throwaway servers, to look at what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.manifest import Part
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup import point_in_time
from techsapo_ops.operations.backup.live import LIVE
from techsapo_ops.operations.backup.restore import Intent
from techsapo_ops.operations.backup.sources import Stack, mysql_door, scratch_door
from techsapo_ops.operations.backup.trial import load, prometheus_seed, unpack
from techsapo_ops.services import sqlite
from techsapo_ops.stack.engine import Scratch

_SERVERS = ("redis", "mysql", "prometheus")
"""Kinds that a throwaway server holds."""


@contextmanager
def into_scratch(
    stack: Stack, intent: Intent, told: Callable[[str, int], None]
) -> Iterator[dict[str, Scratch]]:
    """Throwaway servers by kind that hold what the backup does; gone after the block. Raises OpsError."""
    if not any(part.source in _SERVERS for part in intent.parts):
        file = intent.backup.folder / intent.parts[0].file
        if intent.parts[0].source == sqlite.KIND:
            look = f"zstd -dc {file} > copy.sqlite; sqlite3 copy.sqlite"
        elif LIVE[intent.parts[0].source].offsite:
            look = f"`restic restore latest --tag {intent.backup.id} --target FOLDER` fetches it"
        else:
            look = f"zstd -dc {file} | tar -tvf -"
        raise OpsError(f"{intent.parts[0].source} needs no server to be looked at", look)
    with ExitStack() as servers:
        made: dict[str, Scratch] = {}
        for part in intent.parts:
            reader = intent.backup.reader(part)
            if part.kind == "redis":
                made["redis"] = servers.enter_context(stack.engine.scratch("redis", seed=_seed(reader, told)))
            elif part.kind == "prometheus":
                made["prometheus"] = servers.enter_context(
                    stack.engine.scratch(
                        "prometheus", seed=prometheus_seed(reader, partial(told, "prometheus"))
                    )
                )
            elif part.kind == "mysql":
                made["mysql"] = servers.enter_context(stack.engine.scratch("mysql"))
                _fill(stack, intent, part, made["mysql"], told)
        yield made


def _seed(reader: PackedReader, told: Callable[[str, int], None]) -> Callable[[Path], None]:
    return lambda folder: unpack(reader, folder / "dump.rdb", lambda count: told("redis", count))


def _fill(
    stack: Stack, intent: Intent, part: Part, scratch: Scratch, told: Callable[[str, int], None]
) -> None:
    door = scratch_door("mysql", scratch, stack.runner)
    load(
        door,
        str(part.facts["database"]),
        intent.backup.reader(part),
        lambda count: told("mysql", count),
    )
    if intent.until is not None:
        live = mysql_door(stack)
        work = point_in_time.prepare(live, part, intent.until, datetime.now(UTC))
        point_in_time.replay(live, door, work)
