"""Renewing the certificates of a stack, in one order of steps: obtain, store, deploy, read back, finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from techsapo_ops.adapters.acme import AcmeError
from techsapo_ops.certs.authority import ask_when, ordered
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.deploy import deploy, finish
from techsapo_ops.certs.needs import Certificates, Due, Managed, Need, certificates_of
from techsapo_ops.certs.self_signed import sign
from techsapo_ops.certs.status import status, write_metrics
from techsapo_ops.certs.store import Origin, Version
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import joined, msg

_STACK_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Renewal:
    """What was done for one certificate. `next` is when it will be renewed; `served` says that nginx was
    seen to serve it."""

    name: str
    due: Due
    error: OpsError | None = None
    next: datetime | None = None
    served: bool = False


def renew(
    certificates: Certificates,
    names: Sequence[str] = (),
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: float = 0.0,
) -> tuple[Renewal, ...]:
    """Do for each certificate what it needs, and nothing for one that needs nothing.

    `names` limits them; `force` renews what is not due. One that fails does not keep the others from
    being renewed: its error is in its Renewal. Raises OpsError for an unknown name, and when another
    techsapo is at work on the certificates for longer than `wait` seconds.
    """
    chosen = list(certificates.managed(names))
    if dry_run:
        return tuple(_planned(certificate, force) for certificate in chosen)
    with certificates.alone(wait):
        return tuple(_renewed(certificate, force) for certificate in chosen)


def redeploy(
    certificates: Certificates, names: Sequence[str] = (), *, wait: float = 0.0
) -> tuple[Renewal, ...]:
    """Put the newest stored version of each certificate into use and prove it, also where it is already.

    Raises as `renew` does.
    """
    with certificates.alone(wait):
        return tuple(_redeployed(certificate) for certificate in certificates.managed(names))


def _redeployed(certificate: Managed) -> Renewal:
    due, name = Due(Need.DEPLOY, msg("requested")), certificate.name
    if certificate.store.newest() is not None:
        return _attempt(certificate, due)
    none = msg("certificate {name}: there is no version to deploy", name=name)
    return Renewal(name, due, OpsError(none, f"`techsapo certs issue {name}`"))


def _planned(certificate: Managed, force: bool) -> Renewal:
    try:
        due = certificate.due(force=force)
    except OpsError as error:
        return Renewal(certificate.name, Due(Need.NOTHING, ""), error)
    return Renewal(certificate.name, due, next=due.at)


def _renewed(certificate: Managed, force: bool) -> Renewal:
    due = Due(Need.RENEW, "")
    try:
        if (newest := certificate.store.newest()) is not None:
            ask_when(certificate, newest)
        due = certificate.due(force=force)
    except OpsError as error:
        _note_failure(certificate, error)
        return Renewal(certificate.name, due, error)
    return _attempt(certificate, due)


def _attempt(certificate: Managed, due: Due) -> Renewal:
    """Take the steps that `due` asks for; what fails is remembered, and in the Renewal."""
    store, served, at = certificate.store, False, due.at
    try:
        if due.need is not Need.NOTHING:
            version = _obtained(certificate, due)
            with at_work(certificate.stack.topology.layout, _STACK_WAIT):
                if due.need is Need.FINISH:
                    finish(certificate)
                else:
                    served = deploy(certificate, version)
            if due.need in {
                Need.ISSUE,
                Need.RENEW,
            }:  # so that the time that is reported is the one that counts
                ask_when(certificate, version)
            at = certificate.renews_at(version)
        if store.state.failures:
            store.remember(replace(store.state, failures=0, failure="", retry_at=None))
    except OpsError as error:
        _note_failure(certificate, error)
        return Renewal(certificate.name, due, error)
    return Renewal(certificate.name, due, next=at, served=served)


def _obtained(certificate: Managed, due: Due) -> Version:
    """The version that `due` is about: the newest stored one, or one that is ordered or made, and stored."""
    store = certificate.store
    if due.need in {Need.DEPLOY, Need.FINISH}:
        newest = store.newest()
        assert newest is not None  # noqa: S101 - only a stored version needs a deploy
        return newest
    if certificate.spec.source != "acme":
        return made_here(certificate)
    version = store.put(ordered(certificate), Origin("acme", certificate.spec.directory))
    store.remember(replace(store.state, renewed_at=certificate.stack.now(), retry_at=None))
    return version


def made_here(certificate: Managed) -> Version:
    """A new version that no CA is asked for: the files of the spec, or signed by the stack's own CA.

    Raises OpsError for files that no server should be given.
    """
    store, stack = certificate.store, certificate.stack
    if certificate.spec.source == "files":
        pair = certificate.files()
        require(pair, certificate.required, stack.now())
        version = store.put(pair, Origin("files"))
    else:
        pair = sign(certificate.names, stack.authority(), now=stack.now())
        version = store.put(pair, Origin("self-signed"))
    store.remember(replace(store.state, renewed_at=stack.now()))
    return version


def _note_failure(certificate: Managed, error: OpsError) -> None:
    """Remember a failure, for `status`, metrics and the time that a CA asked to wait."""
    store = certificate.store
    try:
        state = store.state
        retry_at = error.retry_at if isinstance(error, AcmeError) else None
        waiting = state.retry_at is not None and retry_at == state.retry_at
        store.remember(
            replace(
                state,
                failures=state.failures + 1,
                failure=state.failure if waiting else error.message,
                retry_at=retry_at,
            )
        )
    except OpsError as second:
        certificate.stack.say(
            msg(
                "certificate {name}: the failure can't be recorded: {message}",
                name=certificate.name,
                message=second.message,
            )
        )


_WAIT = 60.0


def job(context: JobContext) -> JobResult:
    """Renew what is due and put it into use; one that fails does not keep the others from it."""
    certificates = certificates_of(context.stack(), context.tell)
    renewals = renew(certificates, wait=_WAIT)
    write_metrics(certificates, status(certificates))
    for renewal in renewals:
        context.tell(_line(renewal))
    failed = [r for r in renewals if r.error is not None]
    done = [r for r in renewals if r.error is None and r.due.need is not Need.NOTHING]
    parts = [msg("{count} renewed", count=len(done)) if done else msg("no certificate was due")]
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
