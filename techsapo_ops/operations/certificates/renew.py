"""Issuing, renewing and taking over the certificates of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from techsapo_ops.adapters.acme import AcmeError
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.policy import renewal_time
from techsapo_ops.certs.self_signed import sign
from techsapo_ops.certs.store import Origin, Store, Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.certificates.deploy import deploy, finish
from techsapo_ops.operations.certificates.needs import Certificates, Due, Need, suggested
from techsapo_ops.operations.certificates.ordering import ca_of, ordered

_SHORTEST_ASK = timedelta(minutes=1)
_LONGEST_ASK = timedelta(days=1)
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
    chosen = list(certificates.kept(names))
    if dry_run:
        return tuple(_planned(certificates, name, force) for name, _ in chosen)
    with working(certificates, wait):
        return tuple(_renewed(certificates, name, force) for name, _ in chosen)


def redeploy(
    certificates: Certificates, names: Sequence[str] = (), *, wait: float = 0.0
) -> tuple[Renewal, ...]:
    """Put the newest stored version of each certificate into use and prove it, also where it is already.

    Raises as `renew` does.
    """
    found = []
    with working(certificates, wait):
        for name, _ in certificates.kept(names):
            newest = certificates.store(name).newest()
            due = Due(Need.DEPLOY, msg("asked for"))
            if newest is None:
                error = OpsError(
                    msg("certificate {name}: there is none to deploy", name=name),
                    f"`techsapo certs issue {name}`",
                )
                found.append(Renewal(name, due, error))
            else:
                found.append(_attempt(certificates, name, due, newest))
    return tuple(found)


def working(certificates: Certificates, wait: float) -> AbstractContextManager[object]:
    """Be the only techsapo at work on certificates. Not by the stack's lock: an order may take minutes."""
    return exclusive(certificates.topology.layout.state / "certs.lock", wait=wait)


def _planned(certificates: Certificates, name: str, force: bool) -> Renewal:
    try:
        due = certificates.due(name, force=force)
    except OpsError as error:
        return Renewal(name, Due(Need.NOTHING, ""), error)
    return Renewal(name, due, next=due.at)


def _renewed(certificates: Certificates, name: str, force: bool) -> Renewal:
    due = Due(Need.RENEW, "")
    try:
        newest = certificates.store(name).newest()
        if newest is not None and newest.intact is not None:
            _ask_when(certificates, name, newest)
        due = certificates.due(name, force=force)
        if due.need is Need.NOTHING:
            _succeeded(certificates.store(name))
            return Renewal(name, due, next=due.at)
    except OpsError as error:
        _failed(certificates, name, error)
        return Renewal(name, due, error)
    return _attempt(certificates, name, due)


def _attempt(certificates: Certificates, name: str, due: Due, version: Version | None = None) -> Renewal:
    store = certificates.store(name)
    try:
        if version is None:
            version = _new_version(certificates, name, due)
        with locked(certificates.topology.layout, _STACK_WAIT):
            work = certificates.deployment(name)
            if due.need is Need.FINISH:
                finish(work)
                served = False
            else:
                served = deploy(work, version)
        _succeeded(store)
        if due.need in {Need.ISSUE, Need.RENEW}:  # so that the time that is told is the one that counts
            _ask_when(certificates, name, version)
    except OpsError as error:
        _failed(certificates, name, error)
        return Renewal(name, due, error)
    source = certificates.spec.certificates[name].source
    at = renewal_time(version.pair.leaf, suggested(store.state, version)) if source != "files" else None
    return Renewal(name, due, next=at, served=served)


def _new_version(certificates: Certificates, name: str, due: Due) -> Version:
    store, certificate = certificates.store(name), certificates.spec.certificates[name]
    if due.need in {Need.DEPLOY, Need.FINISH}:
        newest = store.newest()
        assert newest is not None  # noqa: S101 - only a stored version needs a deploy
        return newest
    if certificate.source == "acme":
        pair = ordered(certificates, name, certificate)
        version = store.put(pair, Origin("acme", certificate.directory))
    else:
        version = made_here(certificates, name)
    store.remember(replace(store.state, renewed_at=certificates.now(), retry_at=None))
    return version


def made_here(certificates: Certificates, name: str) -> Version:
    """A new version that no CA is asked for: the files of the spec, or signed by the stack's own CA.

    Raises OpsError for files that no server should be given.
    """
    store, certificate = certificates.store(name), certificates.spec.certificates[name]
    if certificate.source == "files":
        pair = certificates.files(name)
        require(pair, certificates.required(name), certificates.now())
        return store.put(pair, Origin("files"))
    pair = sign(
        certificates.names(name),
        certificates.authority(),
        now=certificates.now(),
    )
    return store.put(pair, Origin("self-signed"))


def _ask_when(certificates: Certificates, name: str, newest: Version) -> None:
    """Ask the CA when it wants the certificate to be renewed, as often as it allows.

    A CA that can't be asked keeps nothing from being renewed by the certificate's own life.
    """
    store, now = certificates.store(name), certificates.now()
    directory = certificates.spec.certificates[name].directory
    if newest.origin != Origin("acme", directory):
        return
    state, pair = store.state, newest.pair
    serial = f"{pair.leaf.serial_number:x}"
    asked = state.suggested_serial == serial and state.ask_again_at is not None and state.ask_again_at > now
    if asked or pair.leaf.not_valid_after_utc <= now:
        return
    try:
        server = ca_of(certificates, name, directory).server(certificates.topology.layout.acme)
        at, again = server.renewal_time(pair.chain)
    except AcmeError as error:
        certificates.say(
            msg("certificate {name}: no renewal information: {message}", name=name, message=error.message)
        )
        return
    again = min(max(again, now + _SHORTEST_ASK), now + _LONGEST_ASK)
    store.remember(replace(state, suggested_at=at, suggested_serial=serial, ask_again_at=again))


def _succeeded(store: Store) -> None:
    state = store.state
    if state.failures or state.failure:
        store.remember(replace(state, failures=0, failure="", retry_at=None))


def _failed(certificates: Certificates, name: str, error: OpsError) -> None:
    """Remember a failure, for `status`, metrics and the time that a CA asked to wait."""
    store = certificates.store(name)
    try:
        state = store.state
        retry_at = error.retry_at if isinstance(error, AcmeError) else None
        waiting = state.retry_at is not None and retry_at == state.retry_at
        store.remember(
            replace(
                state,
                failures=state.failures + 1,
                failed_at=certificates.now(),
                failure=state.failure if waiting else error.message,
                retry_at=retry_at,
            )
        )
    except OpsError as second:
        certificates.say(
            msg(
                "certificate {name}: the failure can't be noted: {message}", name=name, message=second.message
            )
        )
