"""The copy that was chosen, brought here out of the repository."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.adapters.disk import human, room
from techsapo_ops.adapters.files import private_folder
from techsapo_ops.backup.offsite import Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.recover.journal import Desk, Recovering

_SLACK = 64 * 1024 * 1024
"""Bytes that a fetch leaves free."""


def fetch(restic: Restic, facts: Recovering, desk: Desk, say: Callable[[str], None]) -> None:
    """Bring the copy that was chosen into the desk's private folder, whole. Raises OpsError."""
    into = desk.state.parent
    try:
        size = restic.size(facts.snapshot)
    except OpsError as error:
        raise _half(restic, desk, error) from None
    free = room(desk.folder).free_bytes
    if size + _SLACK > free:
        raise OpsError(
            msg(
                "the copy takes {size}, and {into} has {free} free",
                size=human(size),
                into=into,
                free=human(free),
            ),
            msg("make room, or recover --into a folder on another disk; nothing was fetched"),
        )
    say(msg("fetching {backup}, {size}", backup=facts.backup or facts.snapshot[:8], size=human(size)))
    private_folder(desk.fetched, desk.state)
    try:
        restic.restore(facts.snapshot, desk.fetched)
    except OpsError as error:
        raise _half(restic, desk, error) from None


def _half(restic: Restic, desk: Desk, error: OpsError) -> OpsError:
    """What is said of a copy that did not come whole: what the repository lacks, if anything."""
    if "no space left" in error.message.lower():
        return OpsError(
            msg("the disk of {parent} is full: the copy did not come whole", parent=desk.state.parent),
            msg("make room, then the same again; or --abandon, and recover --into a folder on another disk"),
        )
    try:
        restic.check()
    except OpsError as found:
        said = found.message.splitlines()
        lacks = [line for line in said if "does not exist" in line or "no such file" in line]
        if lacks or "damaged" in found.message:
            what = (lacks or said)[0].removeprefix("restic check failed with code 1: ").strip()
            return OpsError(
                msg("the repository is half there, so the copy did not come whole: {what}", what=what[:300]),
                msg("another --at may be whole (--abandon first); restic's manual tells how to repair it"),
            )
    return OpsError(
        msg("the copy did not come whole: {message}", message=error.message),
        msg("{hint}; then the same again", hint=error.hint),
    )
