"""Looks at a backup, on trial too, and writes down what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime

from techsapo_ops.backup.origin import State
from techsapo_ops.backup.repository import Backup, Repository, repository_of
from techsapo_ops.backup.verify import Verification, refused, verify_deep, verify_quick, with_origin
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.backup.create import lost_key
from techsapo_ops.operations.backup.telling import noted, shared
from techsapo_ops.stack.stack import Stack


def verify_backup(
    stack: Stack,
    word: str = "latest",
    *,
    deep: bool = False,
    wait: float = 0.0,
    told: Callable[[str, int], None] = lambda _kind, _bytes: None,
) -> Verification:
    """Look at one backup, `deep` by restoring it, and write the result down beside it.

    What is wrong with the backup is in the result, and what `latest` passed over. Raises OpsError where it
    could not be looked at.
    """
    repository = repository_of(stack)
    backup = repository.find(word)
    # Two looks within a second are told apart: the last one is what alerts go by.
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    with repository.lock(wait):
        made: list[bool] = []
        shared(stack, lambda: made.append(repository.make_key()), wait)
        lost = lost_key(repository) if any(made) else ""
        origin = repository.origin(backup)
        if origin.state is State.TAMPERED:
            found = refused(backup, "deep" if deep else "quick", origin, at)
        else:
            looked = verify_deep(stack, backup, at, told) if deep else verify_quick(stack, backup, at)
            found = with_origin(looked, origin)
        found = replace(found, note=joined("; ", filter(None, (found.note, lost))))
        unheard = shared(stack, lambda: _write(stack, repository, backup, found), wait)
        found = replace(found, note=joined("; ", filter(None, (found.note, unheard))))
        if word == "latest":
            unread = repository.unreadable_after(backup)
            found = replace(
                found,
                passed_over=tuple(
                    msg("{id} can't be read: {damage}", id=b.id, damage=b.damage) for b in unread
                ),
            )
    return found


def _write(stack: Stack, repository: Repository, backup: Backup, found: Verification) -> None:
    repository.note(backup, found.level, {**asdict(found), "ok": found.ok})
    noted(stack, repository)
