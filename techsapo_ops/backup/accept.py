"""Vouches for a backup: one without a MAC by a key of ours, or one that shrank."""

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.telling import noted, shared
from techsapo_ops.messages import msg
from techsapo_ops.stack.stack import Stack


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
