"""Restores a backup into throwaway servers and compares what they then hold with the backup's facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.packed import PackedReader, cannot_write
from techsapo_ops.adapters.pipes import Running
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.backup.verify import Checker, PartResult, Verification, check_part, check_sums
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.sources import Stack, checkers, scratch_door, scratch_prometheus
from techsapo_ops.services import sqlite
from techsapo_ops.services.mysql import facts as mysql_facts
from techsapo_ops.services.mysql.session import name, session, told, version
from techsapo_ops.services.prometheus import backup as prometheus
from techsapo_ops.services.redis import facts as redis_facts
from techsapo_ops.stack.backup import Door, Progress
from techsapo_ops.stack.engine import GateError

_LOADING = ("--batch", "--default-character-set=utf8mb4", "--local-infile=0", "--loose-sandbox")
"""Without its sandbox the client runs `\\! COMMAND` and reads files where a dump says so; an older client
warns of the option and goes on."""


def deep(
    stack: Stack, backup: Backup, at: str, told_of: Callable[[str, int], None] = lambda _kind, _bytes: None
) -> Verification:
    """Restore every part of `backup` on trial; `seconds` of each is how long its data took to come back.

    Raises OpsError where a throwaway server can't be had, which says nothing of the backup.
    """
    began = monotonic()
    whole = check_sums(backup)
    if backup.manifest is None:
        return Verification(backup.id, "deep", at, (), (*whole, backup.damage), round(monotonic() - began, 3))
    parts: list[PartResult] = []
    known = checkers(stack)
    # A part whose bytes changed is not given to a server.
    for part in backup.manifest.parts if not whole else ():

        def progress(count: int, kind: str = part.kind) -> None:
            told_of(kind, count)

        parts.append(_part(stack, backup, part, known, progress))
    return Verification(backup.id, "deep", at, tuple(parts), tuple(whole), round(monotonic() - began, 3))


def _part(
    stack: Stack, backup: Backup, part: Part, known: Mapping[str, Checker], progress: Progress
) -> PartResult:
    began = monotonic()
    if part.source in {sqlite.KIND, "grafana"}:
        return _sqlite(stack, backup, part, progress)
    if part.kind not in _TRIALS:
        wrong = check_part(backup, part, known.get(part.source))
        return PartResult(part.kind, wrong, round(monotonic() - began, 3))
    if not stack.topology.has(part.kind):
        note = f"the stack has no {part.kind} any more to restore it on trial"
        return PartResult(part.kind, check_part(backup, part, known.get(part.kind)), 0.0, note)
    return _TRIALS[part.kind](stack, backup, part, progress)


def _redis(stack: Stack, backup: Backup, part: Part, progress: Progress) -> PartResult:
    began = monotonic()

    def seed(folder: Path) -> None:
        unpack(backup.reader(part), folder / "dump.rdb", progress)

    with stack.engine.scratch("redis", seed=seed) as made:
        seconds = monotonic() - began
        wrong = redis_facts.differences(part.facts, scratch_door("redis", made, stack.runner))
    return PartResult("redis", tuple(wrong), round(seconds, 3))


def _mysql(stack: Stack, backup: Backup, part: Part, progress: Progress) -> PartResult:
    with stack.engine.scratch("mysql") as made:
        door = scratch_door("mysql", made, stack.runner)
        database = str(part.facts["database"])
        began = monotonic()
        try:
            load(door, database, backup.reader(part), progress)
        except OpsError as error:
            return PartResult("mysql", (f"it can't be loaded: {error.message}",))
        seconds = monotonic() - began
        with session(door) as asking:
            same = version(asking) == part.server
            wrong = mysql_facts.differences(part.facts, asking, database, checksums=same)
    note = "" if same else f"made by {part.server}: rows were counted, checksums not compared"
    return PartResult("mysql", tuple(wrong), round(seconds, 3), note)


def _prometheus(stack: Stack, backup: Backup, part: Part, progress: Progress) -> PartResult:
    began = monotonic()
    seed = prometheus_seed(backup.reader(part), progress)
    try:
        with stack.engine.scratch("prometheus", seed=seed) as made:
            seconds = monotonic() - began
            api = scratch_prometheus(made)
            wrong = prometheus.differences(part.facts, api) + prometheus.read_through(part.facts, api)
    except GateError as error:
        return PartResult("prometheus", (f"Prometheus does not start on it: {error.message}",))
    return PartResult("prometheus", tuple(wrong), round(seconds, 3))


def _sqlite(stack: Stack, backup: Backup, part: Part, progress: Progress) -> PartResult:
    parent = stack.topology.layout.state / "scratch"
    with opened(parent, make=0o755):
        pass
    try:
        wrong, seconds = sqlite.trial(backup.reader(part), part, parent, progress)
    except OpsError as error:
        return PartResult(part.kind, (error.message,))
    return PartResult(part.kind, tuple(wrong), round(seconds, 3))


_TRIALS: dict[str, Callable[[Stack, Backup, Part, Progress], PartResult]] = {
    "redis": _redis,
    "mysql": _mysql,
    "prometheus": _prometheus,
}


def load(
    door: Door, database: str, reader: PackedReader, progress: Progress, before: Sequence[str] = ()
) -> None:
    """Make `database` anew and load the dump into it. Raises OpsError with the server's words."""
    with session(door) as asking:
        for statement in before:
            asking.ask(statement)
        asking.ask(f"DROP DATABASE IF EXISTS {name(database)}")
        asking.ask(f"CREATE DATABASE {name(database)} CHARACTER SET utf8mb4")
    command = door.command("mariadb", *_LOADING, database)
    with Running(command, feed=True) as client:
        count = 0
        try:
            for data in reader:
                client.write(data)
                count += len(data)
                progress(count)
        except OpsError as error:
            if client.said:
                raise told(client) from error
            raise
        if client.wait() != 0:
            raise told(client)


def prometheus_seed(reader: PackedReader, progress: Progress) -> Callable[[Path], None]:
    """Puts the blocks of a part where a throwaway Prometheus looks for them."""

    def seed(folder: Path) -> None:
        (folder / "data").mkdir(mode=0o750)
        prometheus.unpack(reader, folder / "data", progress)

    return seed


def unpack(reader: PackedReader, target: Path, progress: Progress) -> None:
    """Unpack a part into the new file `target`. Raises OpsError."""
    count = 0
    try:
        with target.open("xb") as file:
            for data in reader:
                file.write(data)
                count += len(data)
                progress(count)
    except OSError as error:
        raise cannot_write(target, error) from None
