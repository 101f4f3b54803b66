"""What doctor says of the backups: who may change their folder, and whether they come back."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.adapters.strict_modes import Fault, StrictModes
from techsapo_ops.adapters.trusted_users import trusted_users
from techsapo_ops.backup.repository.checks import of_offsite
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.kind import Scheduler
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.stack import Stack

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
            "{fault}: who may write there can delete backups, and who owns it can read them", fault=fault
        )
        yield HostFinding("backups", "backup.path", Level.WARNING, can, fault.fix)
    yield from _proof(stack)
    binary = stack.topology.host.binaries.get(RESTIC)
    in_a_container = stack.topology.places.from_images and stack.topology.has(Scheduler.facts.kind)
    if stack.spec.backup.offsite is not None and binary is None and not in_a_container:
        detail = msg("copies backups to backup.offsite; not on PATH")
        remedy = msg("Debian package {restic}", restic=RESTIC)
        yield HostFinding("tool", RESTIC, Level.WARNING, detail, remedy, RESTIC)


def _proof(stack: Stack) -> Iterator[HostFinding]:
    """Whether the off-site copies are known to come back; nothing for a stack without a second place."""
    if stack.spec.backup.offsite is None:
        return
    known, remedy = of_offsite(stack.layout), "`techsapo backup verify --offsite`"
    if "last" in known and not known["last"]["ok"]:
        said = msg("the off-site copy of {known} did not come back", known=known["last"]["id"])
        yield HostFinding("backups", "backup.offsite", Level.WARNING, said, remedy)
    elif "good" not in known:
        said = msg("nobody has seen yet whether the off-site copies come back")
        yield HostFinding("backups", "backup.offsite", Level.NOTE, said, remedy)
