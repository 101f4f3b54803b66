"""The copy that was chosen, brought here out of the repository."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.files import private_folder
from techsapo_ops.backup.offsite import Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.recover.journal import Desk, Journal

_SLACK = 64 * 1024 * 1024
"""Bytes that a fetch leaves free."""


def fetch(restic: Restic, journal: Journal, desk: Desk, say: Callable[[str], None]) -> None:
    """Bring the journal's copy into the desk's private folder, whole. Raises OpsError."""
    into = desk.state.parent
    try:
        size = restic.size(journal.snapshot)
    except OpsError as error:
        raise _half(restic, desk, error) from None
    free = room(desk.folder).free_bytes
    if size + _SLACK > free:
        raise OpsError(
            f"the copy takes {human(size)}, and {into} has {human(free)} free",
            "make room, or recover --into a folder on another disk; nothing was fetched",
        )
    say(f"fetching {journal.backup or journal.snapshot[:8]}, {human(size)}")
    private_folder(desk.fetched, desk.state)
    try:
        restic.restore(journal.snapshot, desk.fetched)
    except OpsError as error:
        raise _half(restic, desk, error) from None


def _half(restic: Restic, desk: Desk, error: OpsError) -> OpsError:
    """What is said of a copy that did not come whole: what the repository lacks, if anything."""
    if "no space left" in error.message.lower():
        return OpsError(
            f"the disk of {desk.state.parent} is full: the copy did not come whole",
            "make room, then the same again; or --abandon, and recover --into a folder on another disk",
        )
    try:
        restic.check()
    except OpsError as found:
        said = found.message.splitlines()
        lacks = [line for line in said if "does not exist" in line or "no such file" in line]
        if lacks or "damaged" in found.message:
            what = (lacks or said)[0].removeprefix("restic check failed with code 1: ").strip()
            return OpsError(
                f"the repository is half there, so the copy did not come whole: {what[:300]}",
                "another --at may be whole (--abandon first); restic's manual tells how to repair it",
            )
    return OpsError(f"the copy did not come whole: {error.message}", f"{error.hint}; then the same again")
