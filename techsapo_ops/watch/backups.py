"""Whether the backups come back, and who may change their folder: for status, the week and doctor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from techsapo_ops.adapters.strict_modes import Fault, StrictModes
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, unaccepted
from techsapo_ops.backup.repository.records import LEVEL, of_offsite
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.kind import Scheduler
from techsapo_ops.stack.backup import Shrink
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Proved:
    """That a backup came back: restored as a test here, or fetched from off-site for that."""

    id: str
    begun: datetime | None
    """When the backup was made; None where it is no longer here."""
    at: datetime
    where: Literal["here", "off-site"]


@dataclass(frozen=True, slots=True)
class Backups:
    """How many there are, the newest, the last proof; `failed` are those of which a look was bad, `shrunk`
    what shrank by now and nobody accepted, with the backup.
    """

    count: int
    newest: str | None
    newest_begun: datetime | None
    proved: Proved | None
    failed: tuple[str, ...]
    shrunk: tuple[tuple[str, Shrink], ...] = ()


def backups_of(stack: Stack) -> Backups:
    """What is known of the backups of `stack`. Raises OpsError where they can't be read."""
    repository = repository_of(stack)
    # As the metrics count: what a restore put aside is none, and neither is one that somebody planted.
    known = [b for b in repository.ours() if b.read().tag != SAFETY_TAG]
    begun = {b.id: b.read().started for b in known}
    proved: list[Proved] = []
    failed: list[str] = []
    for backup in known:
        checks = repository.checks(backup)
        if checks.get("deep", {}).get("ok"):
            at = datetime.fromisoformat(checks["deep"]["at"])
            proved.append(Proved(backup.id, begun[backup.id], at, "here"))
        if any(not checks[level]["ok"] for level in ("quick", "deep", LEVEL) if level in checks):
            failed.append(backup.id)
    if good := of_offsite(stack.layout).get("good"):
        at, name = datetime.fromisoformat(good["at"]), str(good.get("id", ""))
        proved.append(Proved(name, begun.get(name), at, "off-site"))
    newest = known[-1].id if known else None
    return Backups(
        len(known),
        newest,
        begun[newest] if newest is not None else None,
        max(proved, key=lambda proof: proof.at, default=None),
        tuple(failed),
        tuple((manifest.id, shrink) for manifest, shrink in unaccepted(*repository.compared())),
    )


RESTIC = "restic"


def folder_faults(stack: Stack) -> tuple[Fault, ...]:
    """Who else may write the folder of the backups, or one on the way to it, where the spec has it elsewhere
    than in the state directory.

    Nobody is refused by it, as backups know who made them (docs/backup.md); but whoever may write there can
    delete them, and whoever owns it can read them.
    """
    folder = repository_of(stack).path.absolute()
    if folder.is_relative_to(stack.layout.state):
        return ()  # root looks at that before anything else, and others may write what is their own
    modes = StrictModes(trusted_users())
    modes.judge(folder)
    return tuple(modes.faults)


def look_at_backups(stack: Stack) -> Iterator[HostFinding]:
    """What others may do to the backups, and whether restic is there."""
    for fault in folder_faults(stack):
        can = msg(
            "{fault}: anyone who can write to this folder can delete backups, and its owner can read them",
            fault=fault,
        )
        yield HostFinding("backups", "backup.path", Level.WARNING, can, fault.fix)
    yield from _proof(stack)
    binary = stack.topology.host.binaries.get(RESTIC)
    in_a_container = stack.topology.places.from_images and stack.topology.has(Scheduler.facts.kind)
    if stack.spec.backup.offsite is not None and binary is None and not in_a_container:
        detail = msg("restic, which copies backups to `backup.offsite`, is not on PATH")
        remedy = msg("Debian package {restic}", restic=RESTIC)
        yield HostFinding("tool", RESTIC, Level.WARNING, detail, remedy, RESTIC)


def _proof(stack: Stack) -> Iterator[HostFinding]:
    """Whether the off-site copies are known to come back; nothing for a stack without a second place."""
    if stack.spec.backup.offsite is None:
        return
    known, remedy = of_offsite(stack.layout), "`techsapo backup verify --offsite`"
    if "last" in known and not known["last"]["ok"]:
        said = msg("the off-site copy of backup {known} failed verification", known=known["last"]["id"])
        yield HostFinding("backups", "backup.offsite", Level.WARNING, said, remedy)
    elif "good" not in known:
        said = msg("no off-site copy has ever been verified")
        yield HostFinding("backups", "backup.offsite", Level.NOTE, said, remedy)
