"""Whether people have the password that opens the off-site repository when this host is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.backup.metrics import write_metrics
from techsapo_ops.backup.repository.checks import note_offsite
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.restic import restic_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack


def try_password(stack: Stack, typed: Secret, *, wait: float = 0.0, warn: Warn) -> None:
    """Open the repository with a password that somebody has typed, and note when that was.

    Raises OpsError where it does not open; then nothing is noted.
    """
    away = restic_of(stack)
    if away is None:
        raise OpsError(
            msg("the spec has no backup.offsite, so nothing is off-site"),
            msg('docs/backup.md, "A second place", shows how to have one'),
            exit_code=2,
        )
    replace(away, password=typed, given=msg("the recovery card")).reach()
    repository = repository_of(stack)
    with repository.lock(wait), recorded(stack.layout, msg("backup unlock-test"), {}, warn):
        at = datetime.now(UTC).isoformat(timespec="seconds")
        note_offsite(stack.layout, typed={"ok": True, "at": at})
        write_metrics(stack, repository)
