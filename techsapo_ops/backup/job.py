"""The jobs of backups; the operations themselves write the metrics."""

from __future__ import annotations

from techsapo_ops.adapters.resources import human
from techsapo_ops.backup import verify_offsite as operation
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.repository.verify import Verification
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import joined, msg

_WAIT = 600.0
"""Seconds to wait for another that is at work on the backups."""


def create(context: JobContext) -> JobResult:
    """Back everything up. Raises OpsError; then nothing is kept."""
    made = create_backup(context.stack(), wait=_WAIT)
    manifest = made.backup.read()
    for part in manifest.parts:
        context.tell(f"{part.kind} {registry.describe(part)}, {human(part.bytes)} in {part.seconds:.1f} s")
    for warning in made.warnings:
        context.tell(f"warning: {warning}")
    if made.away:
        context.tell(f"copied off-site as restic's snapshot {made.away}")
    return JobResult(msg("{id}, {bytes}", id=manifest.id, bytes=human(manifest.bytes)))


def verify(context: JobContext) -> JobResult:
    """Restore the newest backup as a test. Raises OpsError for one that does not hold what it should."""
    verification = verify_backup(context.stack(), deep=True, wait=_WAIT)
    _require_good(context, verification)
    return JobResult(
        msg(
            "backup {id} was restored as a test in {seconds:.1f} s",
            id=verification.id,
            seconds=verification.seconds,
        )
    )


def verify_offsite(context: JobContext) -> JobResult:
    """Fetch the newest off-site copy and restore it as a test. Raises OpsError for one that is no good."""
    verification = operation.verify_offsite(context.stack(), wait=_WAIT, say=context.tell)
    _require_good(context, verification)
    return JobResult(
        msg(
            "backup {id} was fetched from off-site and restored as a test in {seconds:.1f} s",
            id=verification.id,
            seconds=verification.seconds,
        )
    )


def _require_good(context: JobContext, verification: Verification) -> None:
    for sentence in verification.sentences:
        context.tell(sentence)
    if not verification.ok or verification.passed_over:
        raise OpsError(
            msg(
                "backup {id} failed verification: {sentences}",
                id=verification.id,
                sentences=joined("; ", verification.sentences),
            )
            if not verification.ok
            else msg(
                "backup {id} can be restored, but a newer backup is unusable: {passed_over}",
                id=verification.id,
                passed_over=joined("; ", verification.passed_over),
            ),
            msg("`techsapo backup` makes a new backup"),
        )


def prune(context: JobContext) -> JobResult:
    """Remove the backups that backup.keep does not want any more."""
    done = prune_backups(context.stack(), wait=_WAIT, warn=context.tell)
    for verdict in done.verdicts:
        context.tell(f"{verdict.id} {'stays' if verdict.keep else 'removed'}: {', '.join(verdict.reasons)}")
    for verdict in done.offsite:
        state = "stays" if verdict.keep else "removed"
        context.tell(f"off-site {verdict.id} {state}: {', '.join(verdict.reasons)}")
    count = sum(not verdict.keep for verdict in done.verdicts)
    return JobResult(
        msg(
            "removed {count} of {done_count} backups, {bytes}",
            count=count,
            done_count=len(done.verdicts),
            bytes=human(done.bytes),
        )
    )
