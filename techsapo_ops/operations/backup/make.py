"""Backups as a person or a job asks for them: make, verify, prune. Each returns what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from techsapo_ops.adapters.disk import human
from techsapo_ops.backup import verify as looking
from techsapo_ops.backup.create import Order, create
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.origin import MAC, State
from techsapo_ops.backup.repository import SAFETY_TAG, Backup, Repository
from techsapo_ops.backup.retention import Known, Verdict, judge
from techsapo_ops.backup.verify import Verification
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup import trial as deep_verify
from techsapo_ops.operations.backup.metrics import write_metrics
from techsapo_ops.operations.backup.offsite import copy_away
from techsapo_ops.operations.backup.restore_journal import require_none
from techsapo_ops.operations.backup.sources import (
    Stack,
    checkers,
    mysql_door,
    restic,
    sources,
    sweep_snapshot,
)
from techsapo_ops.services.mysql.session import session


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """A new backup and what was noticed while it was made."""

    backup: Backup
    warnings: tuple[str, ...] = ()


def make(
    stack: Stack,
    *,
    only: Sequence[str] = (),
    tag: str = "",
    offsite: bool = True,
    wait: float = 0.0,
    now: Callable[[], datetime] = _now,
    told: Callable[[str, int], None] = lambda _kind, _bytes: None,
    ended: Callable[[Part], None] = lambda _: None,
) -> Made:
    """Back up the stack, or the kinds in `only`, and copy that off-site where the spec says where.

    Raises OpsError; then nothing is kept, but for a backup that is whole here and not off-site.
    """
    require_none(stack.topology.layout)
    taken, left_out = sources(stack, only)
    away = restic(stack) if offsite else None
    repository = stack.repository
    with repository.lock(wait):
        sweep_snapshot(stack)
        warnings = []
        if repository.make_key() and (lost := _lost_key(repository)):
            warnings.append(lost)
        before = [b.read().started for b in repository.ours()]
        if before and max(before) > now():
            warnings.append(
                f"the newest backup is from {max(before):%Y-%m-%d %H:%M:%S} UTC, which is yet to come: "
                "was the clock set back? Backups stay in the order in which they were made"
            )
        order = Order(taken, stack.spec.project, stack.topology.engine, tag, left_out)
        backup = create(repository, order, now, told, ended)
        write_metrics(repository, stack.topology.layout)
        if away is not None:
            copy_away(stack, away, backup)
    for part in backup.read().parts:
        warnings += [f"config: {name} was left out: {why}" for name, why in _unexpected(part)]
        if part.kind == "mysql" and not part.facts["exact"]:
            warnings.append(
                "mysql: its facts were not taken at the moment of the dump; verify compares no rows"
            )
    return Made(backup, tuple(warnings))


def _lost_key(repository: Repository) -> str:
    """What is to be told where there are backups with a MAC, though the key was made just now; else empty."""
    others = [backup.id for backup in repository.backups() if (backup.folder / MAC).exists()]
    if not others:
        return ""
    return (
        f"{len(others)} backups carry the MAC of a key that is not here, the newest {others[-1]}; "
        "new ones get a new key. Get the old one back from off-site: docs/backup.md, "
        '"Whose backup it is"'
    )


def _unexpected(part: Part) -> list[tuple[str, str]]:
    """Files that were meant to be in the archive and are not: those that the user named."""
    left: dict[str, str] = part.facts.get("left_out", {})
    return [(name, why) for name, why in left.items() if name.startswith("paths/")]


def verify(
    stack: Stack,
    word: str = "latest",
    *,
    deep: bool = False,
    wait: float = 0.0,
    told: Callable[[str, int], None] = lambda _kind, _bytes: None,
) -> Verification:
    """Look at one backup, deeply by restoring it on trial, and write the result down beside it.

    What is wrong with the backup is in the result. Raises OpsError where it could not be looked at.
    """
    repository = stack.repository
    backup = repository.find(word)
    at = _now().isoformat(timespec="seconds")
    with repository.lock(wait):
        lost = _lost_key(repository) if repository.make_key() else ""
        origin = repository.origin(backup)
        if origin.state is State.TAMPERED:
            found = looking.refused(backup, "deep" if deep else "quick", origin, at)
        elif deep:
            found = looking.told(deep_verify.deep(stack, backup, at, told), origin)
        else:
            found = looking.told(looking.quick(backup, checkers(stack), at), origin)
        found = replace(found, note="; ".join(filter(None, (found.note, lost))))
        repository.note(backup, found.level, {**asdict(found), "ok": found.ok})
        write_metrics(repository, stack.topology.layout)
    return found


@dataclass(frozen=True, slots=True)
class Pruned:
    """Verdicts on all backups, oldest first, and the bytes that were or would be freed."""

    verdicts: tuple[Verdict, ...]
    bytes: int


def prune(stack: Stack, *, dry_run: bool = False, wait: float = 0.0) -> Pruned:
    """Remove the backups that backup.keep does not want any more."""
    repository = stack.repository
    with repository.lock(wait):
        known = repository.backups()
        ours = {b.id for b in repository.ours()}
        facts = [_known(b, repository.checks(b), ours=b.id in ours) for b in known]
        zone = datetime.now().astimezone().tzinfo or UTC
        verdicts = judge(facts, stack.spec.backup.keep, zone, _binlogs(stack))
        going = {v.id for v in verdicts if not v.keep}
        freed = sum(_size(b) for b in known if b.id in going)
        if not dry_run:
            for backup in known:
                if backup.id in going:
                    repository.remove(backup)
            write_metrics(repository, stack.topology.layout)
    return Pruned(verdicts, freed)


def _known(backup: Backup, checks: dict[str, Any], *, ours: bool) -> Known:
    manifest = backup.manifest
    if manifest is None:
        return Known(backup.id, datetime.fromtimestamp(backup.folder.stat().st_mtime, UTC), good=False)
    part = manifest.part("mysql")
    binlog = str(part.facts["binlog"].get("file", "")) if part is not None else ""
    quick, deep = checks.get("quick", {}), checks.get("deep", {})
    good = quick.get("ok", True) and deep.get("ok", True)
    safety = manifest.tag == SAFETY_TAG
    return Known(
        backup.id, manifest.started, good, bool(deep.get("ok", False)), binlog, manifest.kinds, safety,
        not ours,
    )  # fmt: skip


def _size(backup: Backup) -> int:
    return sum(p.stat().st_size for p in backup.folder.iterdir() if p.is_file())


def _binlogs(stack: Stack) -> Sequence[str] | None:
    """Names of the binlog files that the server still has; None where it can't be asked."""
    if not stack.topology.has("mysql"):
        return ()
    try:
        with session(mysql_door(stack), timeout=10) as asking:
            if asking.one("SELECT @@log_bin") != "1":
                return ()
            return [row[0] for row in asking.ask("SHOW BINARY LOGS")]
    except OpsError:  # it is down: then its files are not known, and what may depend on them stays
        return None


def summary(part: Part) -> str:
    """One part in a few words: `mysql 1,000,000 rows, 56 MB`."""
    return f"{content(part)}, {human(part.bytes)}"


def content(part: Part) -> str:
    """What a part holds, by its facts."""
    if part.kind == "redis":
        count = sum(db["keys"] for db in part.facts["databases"].values())
        return f"{count:,} keys"
    if part.source in {"mysql", "sqlite", "grafana"}:
        rows = sum(t["rows"] for t in part.facts["tables"].values())
        return f"{rows:,} rows in {len(part.facts['tables'])} tables"
    if part.kind == "prometheus":
        samples = sum(block["samples"] for block in part.facts["blocks"].values())
        return f"{samples:,} samples in {len(part.facts['blocks'])} blocks"
    if part.kind == "config":
        return f"{len(part.facts['files'])} files"
    return human(part.raw_bytes)
