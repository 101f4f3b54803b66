"""How the certificates are, those of the stack and those that are watched elsewhere, and their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.adapters.tls import names_of, served_certificate, trust_problem
from techsapo_ops.certs.checks import chain_problems, missing, problems, share_left, validity
from techsapo_ops.certs.material import days_left, issuer_of, life, read_chain
from techsapo_ops.certs.needs import Certificates, Managed, Need
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.servers import Certificate
from techsapo_ops.spec.problems import unknown

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """One certificate. What could not be found out is None; `attention` says what needs someone."""

    name: str
    source: str
    where: str
    """The file, or host:port."""
    names: tuple[str, ...] = ()
    issuer: str | None = None
    key: str | None = None
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    days_left: float | None = None
    renews_at: datetime | None = None
    served: bool | None = None
    """Whether what is served is what is stored; None where nothing is served."""
    chain: str | None = None
    """"ok", or what is wrong with the chain."""
    version: int | None = None
    renewed_at: datetime | None = None
    failures: int = 0
    """Attempts to renew or deploy that failed since the last success."""
    attention: tuple[str, ...] = ()


def status(certificates: Certificates, names: Sequence[str] = ()) -> tuple[Status, ...]:
    """Every certificate of the spec, or those of `names`. Raises OpsError for an unknown one."""
    known = certificates.spec.certificates
    for name in names:
        if name not in known:
            raise unknown(msg("certificate"), name, known)
    asked = {name: partial(_one, certificates, name, known[name]) for name in names or known}
    return tuple(each_of(asked).values())


def _one(certificates: Certificates, name: str, certificate: Certificate) -> Status:
    if certificate.source != "external":
        return _managed(certificates.of(name))
    folder = certificates.folder
    if certificate.address is None:
        path = folder / Path(certificate.certificate_file or "").expanduser()
        return _file(name, path, certificates.now(), certificate.names)
    ca_file = folder / Path(certificate.ca_file).expanduser() if certificate.ca_file else None
    return _served_elsewhere(name, certificate.address, certificates.now(), certificate.names, ca_file)


def _managed(certificate: Managed) -> Status:
    store, source, now = certificate.store, certificate.spec.source, certificate.stack.now()
    blank = Status(certificate.name, source, str(store.chain))
    try:
        state, live = store.state, store.live()
    except OpsError as error:
        return replace(blank, attention=(error.message,))
    needs = list(_needs(certificate))
    if state.failures:
        needs.append(msg("the last attempt failed: {why}", why=state.failure.splitlines()[0]))
    blank = replace(blank, renewed_at=state.renewed_at, failures=state.failures)
    pair = live.intact if live is not None else None
    if live is None or pair is None:
        gone = msg("no certificate yet") if live is None else msg("the certificate's files are damaged")
        return replace(blank, attention=tuple(needs) or (gone,))  # what is needed says as much
    wrong_chain = chain_problems(pair.certificates)
    served, unserved = _served(certificate, pair.leaf)
    attention = [*problems(pair, certificate.required, now), *unserved]
    if source == "files" and not needs and not attention and _soon(pair.leaf, now):
        attention.append(msg("expires soon: put new files in place"))
    return replace(
        _facts(blank, pair.leaf, now),
        renews_at=certificate.renews_at(live),
        served=served,
        chain=wrong_chain[0] if wrong_chain else "ok",
        version=live.number,
        attention=tuple(dict.fromkeys((*attention, *needs))),
    )


def _needs(certificate: Managed) -> Iterator[str]:
    """What the next `renew` would do, or why it can't tell."""
    try:
        due = certificate.due()
    except OpsError as error:
        yield error.message
        return
    if due.need is not Need.NOTHING:
        yield msg("{need} is due: {reason}", need=due.need, reason=due.reason)


def _served(certificate: Managed, leaf: x509.Certificate) -> tuple[bool | None, tuple[str, ...]]:
    """Whether nginx serves `leaf`, None where nothing is served, and what needs someone."""
    site = certificate.site
    if site is None or not site.running():
        return None, ()
    try:
        same = site.served(certificate.asked_name(leaf)) == leaf.public_bytes(Encoding.DER)
    except OpsError as error:
        return False, (error.message,)
    return same, () if same else (f"nginx serves another one: `techsapo certs deploy {certificate.name}`",)


def _served_elsewhere(
    name: str, where: str, now: datetime, names: Sequence[str], ca_file: Path | None
) -> Status:
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    blank = Status(name, "external", where)
    asked = names[0].replace("*", "www", 1) if names else host
    address = Address(host, int(port))
    try:
        leaf = x509.load_der_x509_certificate(served_certificate(address, asked, timeout=_TIMEOUT))
        distrust = trust_problem(address, asked, timeout=_TIMEOUT, ca_file=ca_file)
    except OpsError as error:
        return replace(blank, attention=(error.message,))
    untrusted = (
        (msg("clients don't trust the certificate: {distrust}", distrust=distrust),) if distrust else ()
    )
    return _watched(blank, leaf, now, names or (asked,), chain=distrust, also=untrusted)


def _file(name: str, path: Path, now: datetime, names: Sequence[str]) -> Status:
    blank = Status(name, "external", str(path))
    try:
        chain = read_chain(path.read_bytes(), str(path))
    except OSError as error:
        return replace(blank, attention=(f"cannot read {path}: {error.strerror}",))
    except OpsError as error:
        return replace(blank, attention=(error.message,))
    wrong = chain_problems(chain)
    return _watched(blank, chain[0], now, names, chain=wrong[0] if wrong else "", also=wrong)


def _watched(
    blank: Status,
    leaf: x509.Certificate,
    now: datetime,
    names: Sequence[str],
    *,
    chain: str,
    also: Sequence[str],
) -> Status:
    """A certificate that somebody else renews; `chain` is what is wrong with its chain, "" for nothing."""
    invalid = validity(leaf, now)
    soon = (msg("expires soon"),) if not invalid and _soon(leaf, now) else ()
    attention = (*invalid, *missing(leaf, names), *also, *soon)
    return replace(_facts(blank, leaf, now), chain=chain or "ok", attention=attention)


def _soon(leaf: x509.Certificate, now: datetime) -> bool:
    """Whether someone should have renewed it by now: less is left than ours are renewed at."""
    total = life(leaf)
    return leaf.not_valid_after_utc - now < min(total * float(share_left(total)), timedelta(days=21))


def _facts(blank: Status, leaf: x509.Certificate, now: datetime) -> Status:
    key = leaf.public_key()
    words = type(key).__name__.removesuffix("PublicKey").lstrip("_")
    if isinstance(key, ec.EllipticCurvePublicKey):
        words = {"secp256r1": "ECDSA P-256", "secp384r1": "ECDSA P-384"}.get(
            key.curve.name, f"ECDSA {key.curve.name}"
        )
    elif isinstance(key, rsa.RSAPublicKey):
        words = f"RSA {key.key_size}"
    return replace(
        blank,
        names=names_of(leaf),
        issuer=issuer_of(leaf),
        key=words,
        serial=f"{leaf.serial_number:x}",
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        days_left=round(days_left(leaf, now), 2),
    )


TEXTFILE = "certificates"
"""Not `certs`: that is the file of the job, and two files must not hold the same series."""


def write_metrics(certificates: Certificates, statuses: Sequence[Status]) -> None:
    """Replace the certificates' metrics by those of `statuses`.

    A file that can't be written is a warning and not a failure: certificates are renewed anyway, and an
    alert on the job `certs` shows where nobody reacts.
    """
    folder = certificates.topology.layout.textfiles
    if not certificates.topology.layout.state.is_dir():
        return  # a stack that was never up: there is nothing to watch
    try:
        write_textfile(folder, TEXTFILE, samples(statuses))
    except OpsError as error:
        certificates.say(msg("the certificates' metrics were not written: {message}", message=error.message))


def samples(statuses: Iterable[Status]) -> Iterator[Sample]:
    """The samples of `statuses`; an unknown value has none."""
    for status in statuses:
        values = {
            "techsapo_cert_not_before_timestamp_seconds": _timestamp(status.not_before),
            "techsapo_cert_not_after_timestamp_seconds": _timestamp(status.not_after),
            "techsapo_cert_last_renewal_timestamp_seconds": _timestamp(status.renewed_at),
            "techsapo_cert_renewal_failures": float(status.failures),
            "techsapo_cert_served_matches": None if status.served is None else float(status.served),
        }
        labels = {"name": status.name, "source": status.source}
        for metric, value in values.items():
            if value is not None:
                yield Sample(metric, value, labels)


def _timestamp(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
