"""Issuing, renewing and taking over the certificates of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from techsapo_ops.adapters.acme import AcmeError
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.pending import Orders
from techsapo_ops.certs.policy import Window, renewal_time
from techsapo_ops.certs.self_signed import sign
from techsapo_ops.certs.store import Origin, Store, Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.certificates.deploy import deploy, finish
from techsapo_ops.operations.certificates.needs import Certificates, Due, Need, window_of
from techsapo_ops.operations.certificates.ordering import account_of, ordered

_SHORTEST_ASK = timedelta(minutes=1)
_ASK_AGAIN = timedelta(hours=6)  # RFC 9773, 4.3.3
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
        pair = newest.intact if newest is not None else None
        if newest is not None and pair is not None:
            Orders(certificates.topology.layout.acme).settle(name, pair.private_key.public_key())
            _ask_window(certificates, name, newest)
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
            _ask_window(certificates, name, version)
    except OpsError as error:
        _failed(certificates, name, error)
        return Renewal(name, due, error)
    source = certificates.spec.certificates[name].source
    at = renewal_time(version.pair.leaf, window_of(store.state, version)) if source != "files" else None
    return Renewal(name, due, next=at, served=served)


def _new_version(certificates: Certificates, name: str, due: Due) -> Version:
    store, certificate = certificates.store(name), certificates.spec.certificates[name]
    if due.need in {Need.DEPLOY, Need.FINISH}:
        newest = store.newest()
        assert newest is not None  # noqa: S101 - only a stored version needs a deploy
        return newest
    directory = ""
    orders = Orders(certificates.topology.layout.acme)
    if certificate.source == "files":
        pair = certificates.files(name)
        require(pair, certificates.required(name), certificates.now())
    elif certificate.source == "self-signed":
        pair = sign(certificates.names(name), certificates.authority(), now=certificates.now())
    else:
        directory = certificate.directory
        pair = ordered(certificates, name, certificate, orders)
    version = store.put(pair, Origin(certificate.source, directory))
    store.remember(replace(store.state, renewed_at=certificates.now(), retry_at=None))
    orders.drop(name)
    return version


def _ask_window(certificates: Certificates, name: str, newest: Version) -> None:
    """Ask the CA when it wants the certificate to be renewed, as often as it allows.

    A CA that can't be asked keeps nothing from being renewed by the certificate's own life.
    """
    certificate, store, now = (
        certificates.spec.certificates[name],
        certificates.store(name),
        certificates.now(),
    )
    state = store.state
    if newest.origin != Origin("acme", certificate.directory):
        return
    leaf = newest.pair.leaf
    serial = f"{leaf.serial_number:x}"
    asked = state.window_serial == serial and state.ask_window_at is not None and state.ask_window_at > now
    if asked or leaf.not_valid_after_utc <= now:
        return
    try:
        found = account_of(certificates, name, newest.origin.directory).server.renewal_window(leaf)
    except AcmeError as error:
        certificates.say(
            msg("certificate {name}: no renewal information: {message}", name=name, message=error.message)
        )
        return
    window, again = None, _ASK_AGAIN
    if found is not None:
        start, end, seconds = found
        window = Window(start, end)
        if seconds:
            again = min(max(timedelta(seconds=seconds), _SHORTEST_ASK), _LONGEST_ASK)
    store.remember(replace(state, window=window, window_serial=serial, ask_window_at=now + again))


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
