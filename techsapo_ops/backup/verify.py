"""Looks at a backup, on trial too, and writes down what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from techsapo_ops.backup.create import lost_key
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.verify import DEEP, QUICK, Verification, verify
from techsapo_ops.backup.telling import noted, shared
from techsapo_ops.messages import joined, msg
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
    with repository.lock(wait):
        made: list[bool] = []
        shared(stack, lambda: made.append(repository.make_key()), wait)
        lost = lost_key(repository) if any(made) else ""
        found = verify(stack, repository, backup, DEEP if deep else QUICK, told)
        found = replace(found, note=lost)
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
