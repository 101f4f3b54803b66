"""What a person or a job finds out about a backup, and writes down: verified, vouched for, opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.backup.create import lost_key
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.records import note_offsite
from techsapo_ops.backup.repository.restic import restic_of
from techsapo_ops.backup.repository.verify import DEEP, QUICK, Verification, verify
from techsapo_ops.backup.telling import noted, shared, write_metrics
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack


def verify_backup(
    stack: Stack,
    word: str = "latest",
    *,
    deep: bool = False,
    wait: float = 0.0,
    progress: Callable[[str, int], None] = lambda _kind, _bytes: None,
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
        verification = verify(stack, repository, backup, DEEP if deep else QUICK, progress)
        verification = replace(verification, note=lost)
        unheard = shared(stack, lambda: _write(stack, repository, backup, verification), wait)
        verification = replace(verification, note=joined("; ", filter(None, (verification.note, unheard))))
        if word == "latest":
            unread = repository.unreadable_after(backup)
            verification = replace(
                verification,
                passed_over=tuple(
                    msg("{id} can't be read: {damage}", id=b.id, damage=b.damage) for b in unread
                ),
            )
    return verification


def _write(stack: Stack, repository: Repository, backup: Backup, verification: Verification) -> None:
    repository.note(backup, verification.level, {**asdict(verification), "ok": verification.ok})
    noted(stack, repository)


def accept_backup(stack: Stack, which: str, *, wait: float = 0.0, warn: Warn) -> Backup:
    """Vouch for the backup that `which` means: it is ours, what it lacks is meant, and from now on
    others are compared with it.

    Raises OpsError for one that somebody changed, and where that can't be recorded.
    """
    repository = repository_of(stack)
    with repository.lock(wait):
        backup = repository.find(which)
        what = {"backup": backup.id, "manifest": backup.digest}
        with recorded(stack.layout, msg("backup accept"), what, warn) as known:
            repository.accept(backup)
            if shrunk := backup.read().shrunk:
                known["shrunk"] = [each.source for each in shrunk]
                at = datetime.now(UTC).isoformat(timespec="seconds")
                repository.note(backup, "shrunk", {"ok": True, "at": at})
                if unheard := shared(stack, lambda: noted(stack, repository), wait):
                    warn(unheard)
    return backup


def try_password(stack: Stack, typed: Secret, *, wait: float = 0.0, warn: Warn) -> None:
    """Open the repository with a password that somebody has typed, and note when that was.

    Raises OpsError where it does not open; then nothing is noted.
    """
    away = restic_of(stack)
    if away is None:
        raise OpsError(
            msg("the spec has no backup.offsite, so nothing is off-site"),
            msg('docs/backup.md, "A second place", shows how to set up off-site copies'),
            exit_code=2,
        )
    replace(away, password=typed, given=msg("the recovery card")).reach()
    repository = repository_of(stack)
    with repository.lock(wait), recorded(stack.layout, msg("backup unlock-test"), {}, warn):
        at = datetime.now(UTC).isoformat(timespec="seconds")
        note_offsite(stack.layout, typed={"ok": True, "at": at})
        write_metrics(stack, repository)
