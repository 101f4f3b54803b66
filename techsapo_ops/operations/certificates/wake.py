"""When the job `certs` is to run beside its schedule: renewal follows the certificate, not a calendar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.certificates.needs import Certificates, Need
from techsapo_ops.schedule.runs import Runs

JOB = "certs"
_SOONEST = timedelta(seconds=10)
"""A CA whose wish for a certificate that it just issued has come already is asked at the schedule's times."""
_SHORTEST_RETRY = timedelta(minutes=1)
_RETRIES = 4
"""After a failure, a quarter of what is left of the certificate goes by before the next attempt."""


def wake_for(certificates: Certificates, failed: Iterable[str] = ()) -> None:
    """Let the stack's own scheduler come when the first certificate is to be renewed.

    For those that `failed` it comes again while they are still valid, more often towards their end, but not
    before the CA wants to be asked. A time that can't be noted is told: the schedule's own times stay.
    """
    try:
        times = list(_times(certificates, frozenset(failed)))
        Runs(certificates.topology.layout.jobs).set_wake(JOB, min(times, default=None))
    except OpsError as error:
        certificates.say(
            msg("the scheduler was not told when certificates are due: {message}", message=error.message)
        )


def _times(certificates: Certificates, failed: frozenset[str]) -> Iterator[datetime]:
    now = certificates.now()
    for name, _ in certificates.kept():
        at = _retry(certificates, name, now) if name in failed else _renewal(certificates, name)
        if at is not None and at - now >= _SOONEST:
            yield at


def _renewal(certificates: Certificates, name: str) -> datetime | None:
    try:
        due = certificates.due(name)
    except OpsError:  # `status` and the next run say so
        return None
    return due.at if due.need is Need.NOTHING else None


def _retry(certificates: Certificates, name: str, now: datetime) -> datetime | None:
    store = certificates.store(name)
    live, retry_at = store.live(), store.state.retry_at
    pair = live.intact if live is not None else None
    if pair is None or pair.leaf.not_valid_after_utc <= now:
        return None
    again = now + max((pair.leaf.not_valid_after_utc - now) / _RETRIES, _SHORTEST_RETRY)
    return again if retry_at is None else max(again, retry_at)
