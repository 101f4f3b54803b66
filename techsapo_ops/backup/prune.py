"""Which backups stay, and why; and removes those that backup.keep does not want any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest, unaccepted
from techsapo_ops.backup.repository.restic import restic_of
from techsapo_ops.backup.restore.copied import copies_of, note_copies
from techsapo_ops.backup.telling import noted, shared
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.upkeep import Keep
from techsapo_ops.stack.backup import Shrink
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Known:
    """What retention looks at of one backup, oldest first in a list of them.

    `good`: whole, and not found wrong; `deep`: restored as a test and found right; `logs`: those of the
    servers with which going on from it begins; `kinds`: what it holds; `safety`: made by a restore;
    `tampered`: changed, or put there, by somebody else as far as is known; `shrank`: id of a backup that
    has less than half of this one, and that nobody has accepted.
    """

    id: str
    started: datetime
    good: bool = True
    deep: bool = False
    logs: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()
    safety: bool = False
    tampered: bool = False
    shrank: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one backup stays, and the reasons."""

    id: str
    keep: bool
    reasons: tuple[str, ...]


SAFETY_BACKUPS = 2
"""Backups made by restores that stay."""
_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("daily", lambda t: (t.year, t.month, t.day)),
    ("weekly", lambda t: tuple(t.isocalendar()[:2])),
    ("monthly", lambda t: (t.year, t.month)),
)


def judge(
    backups: Sequence[Known], keep: Keep, zone: tzinfo, logs: Collection[str] | None
) -> tuple[Verdict, ...]:
    """A verdict on each of `backups`, which are oldest first; days begin in `zone`.

    Of each period the last good backup counts; periods are counted by the backups that are there, so that a
    pause or a clock set back removes nothing. Backups of other sources are counted by themselves: one of
    a single source is no reason for last night's of everything to go. `logs` are those that the servers
    still have; None where one can't be asked, and then every backup stays that such a log may still follow.
    One that was tampered with takes no other's place, and stays to be looked at.
    """
    reasons: dict[str, list[str]] = {b.id: [] for b in backups}
    for backup in [b for b in backups if b.tampered]:
        reasons[backup.id].append(msg("tampered with: inspect it, then remove it by hand"))
    good = [b for b in backups if b.good and not b.tampered]
    counts: Mapping[str, int] = keep.model_dump()
    for kinds in dict.fromkeys(b.kinds for b in good):
        _count([b for b in good if b.kinds == kinds and not b.safety], counts, zone, reasons)
    for backup in [b for b in good if b.safety][-SAFETY_BACKUPS:]:
        reasons[backup.id].append(msg("the data that a restore replaced"))
    for backup in [b for b in backups if b.shrank]:
        reasons[backup.id].append(
            msg(
                "the data shrank in backup {shrank}, and nobody has accepted that backup yet",
                shrank=backup.shrank,
            )
        )
    chain = [b for b in good if b.logs and (logs is None or not b.logs.isdisjoint(logs))]
    if chain:
        since = msg("oldest backup from which point-in-time recovery is possible")
        reasons[chain[0].id].append(
            since if logs is not None else msg("{since}, as far as is known", since=since)
        )
    return tuple(Verdict(b.id, bool(reasons[b.id]), tuple(reasons[b.id]) or (_removed(b),)) for b in backups)


def _count(
    good: Sequence[Known], counts: Mapping[str, int], zone: tzinfo, reasons: dict[str, list[str]]
) -> None:
    for period, of in _PERIODS:
        seen: set[tuple[int, ...]] = set()
        for backup in reversed(good):
            when = of(backup.started.astimezone(zone))
            if when not in seen and len(seen) < counts[period]:
                seen.add(when)
                reasons[backup.id].append(
                    msg("{period} {number} of {count}", period=period, number=len(seen), count=counts[period])
                )
    if good:
        reasons[good[-1].id].append(msg("the newest good backup"))
    deep = [b for b in good if b.deep]
    if deep:
        reasons[deep[-1].id].append(msg("the newest backup restored as a test"))


def _removed(backup: Known) -> str:
    return msg("not covered by backup.keep") if backup.good else msg("damaged")


@dataclass(frozen=True, slots=True)
class Pruned:
    """Verdicts on all backups, oldest first, and the bytes that were or would be freed here."""

    verdicts: tuple[Verdict, ...]
    bytes: int
    offsite: tuple[Verdict, ...] = ()
    """Those on the off-site copies, by the backup's id, where `backup.offsite.prune` lets them be removed."""


def prune_backups(
    stack: Stack, *, dry_run: bool = False, wait: float = 0.0, warn: Warn = lambda _: None
) -> Pruned:
    """Remove the backups that backup.keep does not want any more, and off-site copies where the spec says so.

    Here also where that can't be recorded, which goes to `warn`: pruning makes room on a full disk.
    Raises OpsError, also where only the copies could not be removed.
    """
    repository = repository_of(stack)
    with repository.lock(wait):
        backups = repository.backups()
        ours = {b.id for b in repository.ours()}
        known = [_known(b, repository.checks(b), ours=b.id in ours) for b in backups]
        shrank = _last_before(known, unaccepted(*repository.compared()))
        known = [replace(each, shrank=shrank.get(each.id, "")) for each in known]
        zone = datetime.now().astimezone().tzinfo or UTC
        verdicts = judge(known, stack.spec.backup.keep, zone, _logs(stack))
        going = {v.id for v in verdicts if not v.keep}
        freed = sum(_size(b) for b in backups if b.id in going)
        if not dry_run:
            if going:
                what = {"backups": sorted(going)}
                with recorded(stack.layout, msg("backup prune"), what, warn, anyway=True):
                    for backup in backups:
                        if backup.id in going:
                            repository.remove(backup)
            shared(stack, lambda: noted(stack, repository), wait)
    here = {verdict.id for verdict in verdicts if verdict.keep}
    return Pruned(verdicts, freed, _prune_offsite(stack, here, zone, warn, wait, dry_run=dry_run))


def _prune_offsite(
    stack: Stack, here: Collection[str], zone: tzinfo, warn: Warn, wait: float, *, dry_run: bool
) -> tuple[Verdict, ...]:
    """By `keep` as here; copies of a part alone are counted by themselves, and take no whole one's place.

    Those of backups that stay `here` stay as well, whatever the reason was.
    """
    offsite = stack.spec.backup.offsite
    away = restic_of(stack) if offsite is not None and offsite.prune else None
    if away is None:
        return ()
    away.reach()
    ours, unreadable = copies_of(stack, away)
    if unreadable:
        raise OpsError(
            unreadable,
            msg("nothing was removed off-site; for details, run `techsapo backup verify --offsite`"),
        )
    copies = {copy.id: copy for copy in ours}
    known = [Known(id_, copy.time, kinds=(str(copy.whole),)) for id_, copy in copies.items()]
    verdicts = [
        replace(verdict, keep=True, reasons=(msg("the same backup on this host stays"),))
        if copies[verdict.id].backup in here and not verdict.keep
        else verdict
        for verdict in judge(known, stack.spec.backup.keep, zone, ())
    ]
    going = [verdict.id for verdict in verdicts if not verdict.keep]
    if going and not dry_run:
        what = {"copies": sorted(copies[id_].backup for id_ in going)}
        with recorded(stack.layout, msg("backup prune"), what, warn):
            away.forget(going)
        with repository_of(stack).lock(wait):
            note_copies(stack, away, (copy.backup for id_, copy in copies.items() if id_ not in going))
    return tuple(replace(verdict, id=copies[verdict.id].backup) for verdict in verdicts)


def _last_before(known: Sequence[Known], shrunk: Iterable[tuple[Manifest, Shrink]]) -> dict[str, str]:
    """The last backups before a source shrank, by id, each with the id of the one that shrank.

    Where such a one is gone, or no good, the last good one before it is meant.
    """
    ids = [each.id for each in known]
    last_before = {}
    for manifest, shrink in shrunk:
        end = ids.index(shrink.than) + 1 if shrink.than in ids else ids.index(manifest.id)
        before = [k for k in known[:end] if k.good and not (k.tampered or k.safety)]
        if last := [k.id for k in before if shrink.source in k.kinds]:
            last_before[last[-1]] = manifest.id
    return last_before


def _known(backup: Backup, checks: dict[str, Any], *, ours: bool) -> Known:
    manifest = backup.manifest
    if manifest is None:
        return Known(backup.id, datetime.fromtimestamp(backup.folder.stat().st_mtime, UTC), good=False)
    quick, deep = checks.get("quick", {}), checks.get("deep", {})
    return Known(
        backup.id, manifest.started,
        good=quick.get("ok", True) and deep.get("ok", True),
        deep=bool(deep.get("ok", False)),
        logs=_begins(manifest),
        kinds=manifest.kinds,
        safety=manifest.tag == SAFETY_TAG,
        tampered=not ours,
    )  # fmt: skip


def _begins(manifest: Manifest) -> frozenset[str]:
    """The logs with which the parts go on that can be had as they were at any moment after."""
    histories = registry.histories()
    parts = [part for part in manifest.parts if part.source in histories]
    return frozenset(filter(None, (histories[part.source].begins(part) for part in parts)))


def _logs(stack: Stack) -> frozenset[str] | None:
    """Every log that the servers still have; None where one can't be asked."""
    every: set[str] = set()
    for history in registry.histories().values():
        logs = history.logs(stack)
        if logs is None:
            return None
        every.update(logs)
    return frozenset(every)


def _size(backup: Backup) -> int:
    return sum(p.stat().st_size for p in backup.folder.iterdir() if p.is_file())
