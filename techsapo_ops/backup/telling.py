"""Publishes what is known of the backups here: to Prometheus, and to other hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, unaccepted
from techsapo_ops.backup.repository.records import of_offsite
from techsapo_ops.engines.at_work import among_hosts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack

NAME = "backups"
"""Name of the file and value of its label `name`."""


def write_metrics(stack: Stack, repository: Repository) -> None:
    """Tell of all backups as they are now. Raises OpsError where the file can't be written."""
    away = offsite_samples(stack.layout) if stack.spec.backup.offsite is not None else ()
    write_textfile(stack.layout.textfiles, NAME, (*samples(repository), *away))


def offsite_samples(layout: Layout) -> Iterator[Sample]:
    """The series of what was fetched from off-site; none before the first look."""
    known = of_offsite(layout)
    if last := known.get("last"):
        at = datetime.fromisoformat(last["at"]).timestamp()
        yield Sample("techsapo_backup_offsite_last_verification_timestamp_seconds", at)
        yield Sample("techsapo_backup_offsite_last_verification_success", float(bool(last["ok"])))
    if good := known.get("good"):
        at = datetime.fromisoformat(good["at"]).timestamp()
        yield Sample("techsapo_backup_offsite_verified_timestamp_seconds", at)
        for part in good["parts"]:
            source = {"source": part["kind"]}
            yield Sample("techsapo_backup_offsite_recovery_seconds", part["seconds"], source)
    if typed := known.get("typed"):
        at = datetime.fromisoformat(typed["at"]).timestamp()
        yield Sample("techsapo_backup_offsite_password_tried_timestamp_seconds", at)


def samples(repository: Repository) -> Iterator[Sample]:
    """The series as they are now, of all hosts' backups; one is absent while there is nothing to say.

    Sizes and durations are those of the newest one here.
    """
    # A backup that somebody planted is no backup, whatever time it has.
    known = [m for b in repository.ours() if (m := b.read()).tag != SAFETY_TAG]
    others = repository.of_others()
    checks = {b.id: repository.checks(b) for b in repository.backups()}
    checks |= {place.id: repository.checks_of(place.id) for place in others}
    yield Sample("techsapo_backups", len(known) + len(others))
    begun = [[(m.started, m.id) for m in known], [(place.started, place.id) for place in others]]
    if any(begun):
        newest, _ = max(each[-1] for each in begun if each)
        yield Sample("techsapo_backup_newest_timestamp_seconds", newest.timestamp())
    if known:
        for part in known[-1].parts:
            source = {"source": part.kind}
            yield Sample("techsapo_backup_size_bytes", part.bytes, source)
            yield Sample("techsapo_backup_duration_seconds", part.seconds, source)
    shrunk = {shrink.source for _, shrink in unaccepted(*repository.compared())}
    for kind in dict.fromkeys(part.kind for m in known for part in m.parts):
        yield Sample("techsapo_backup_shrunk", int(kind in shrunk), {"source": kind})
    good = [[pair for pair in each if checks[pair[1]].get("deep", {}).get("ok")] for each in begun]
    if any(good):
        moment, proved = max(each[-1] for each in good if each)
        yield Sample("techsapo_backup_newest_verified_timestamp_seconds", moment.timestamp())
        for part in checks[proved]["deep"]["parts"]:
            yield Sample("techsapo_backup_recovery_seconds", part["seconds"], {"source": part["kind"]})
    # Also of backups that are too damaged to be counted.
    looks = [check[key] for check in checks.values() for key in ("quick", "deep") if key in check]
    if looks:
        last = max(looks, key=lambda look: datetime.fromisoformat(look["at"]))
        at = datetime.fromisoformat(last["at"]).timestamp()
        yield Sample("techsapo_backup_last_verification_timestamp_seconds", at)
        yield Sample("techsapo_backup_last_verification_success", float(bool(last["ok"])))


_WAIT = 60.0
"""Seconds for which another command may be at work."""


def shared(stack: Stack, write: Callable[[], None], wait: float = 0.0) -> str:
    """Do `write`, which changes the state directory, so that other hosts have it too; why they don't, if so.

    It is done in any case, and at most twice. On one host there is nobody to hear of it. Raises OpsError
    where it can't be written here.
    """
    try:
        with among_hosts(stack.layout, max(wait, _WAIT)):
            write()
            stack.engine.deliver()
    except OpsError as error:
        write()
        return msg("the other hosts don't know about this change: {why}", why=error.message)
    return ""


def noted(stack: Stack, repository: Repository) -> None:
    """Write down which backups there are here, for the other hosts and for Prometheus. Raises OpsError."""
    if repository.places is not None:
        repository.places.note(filter(None, (b.manifest for b in repository.backups())))
    write_metrics(stack, repository)
