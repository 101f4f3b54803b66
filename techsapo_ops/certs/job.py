"""The job `certs`: renew what is due."""

from __future__ import annotations

from techsapo_ops.certs.metrics import write_metrics
from techsapo_ops.certs.needs import Need, certificates_of
from techsapo_ops.certs.renew import Renewal, renew
from techsapo_ops.certs.status import status
from techsapo_ops.jobs.context import JobContext
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import joined, msg

_WAIT = 60.0


def run(context: JobContext) -> JobResult:
    """Renew what is due and put it into use; one that fails does not keep the others from it."""
    certificates = certificates_of(context.stack(), context.tell)
    found = renew(certificates, wait=_WAIT)
    write_metrics(certificates, status(certificates))
    for renewal in found:
        context.tell(_line(renewal))
    failed = [r for r in found if r.error is not None]
    done = [r for r in found if r.error is None and r.due.need is not Need.NOTHING]
    parts = [msg("{count} renewed", count=len(done)) if done else msg("nothing was due")]
    if failed:
        parts.append(
            msg("{count} failed: {failed}", count=len(failed), failed=", ".join(r.name for r in failed))
        )
    return JobResult(joined(", ", parts), exit_code=1 if failed else 0)


def _line(renewal: Renewal) -> str:
    if renewal.error is not None:
        return f"{renewal.name}: {renewal.error.message.splitlines()[0]}"
    then = f", next renewal {renewal.next:%Y-%m-%d %H:%M} UTC" if renewal.next is not None else ""
    return f"{renewal.name}: {renewal.due.need}{then}"
