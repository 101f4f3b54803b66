"""Ordering a certificate from its CA."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.acme import AcmeError, AcmeServer, Binding, Proof
from techsapo_ops.certs.account import AcmeCa
from techsapo_ops.certs.challenges import DnsResponder, Everywhere, HttpResponder, Responder
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.material import Pair, key_pem, new_key, signing_request
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.certificates.needs import Certificates
from techsapo_ops.spec.models.edge import Certificate


def ordered(certificates: Certificates, name: str, certificate: Certificate) -> Pair:
    """A new certificate from the CA, with a key of its own.

    A run that was killed begins anew: CAs count certificates, not orders. Raises OpsError, AcmeError for
    what the CA refuses.
    """
    state = certificates.store(name).state
    if state.retry_at is not None and state.retry_at > certificates.now():
        raise AcmeError(
            msg(
                "the CA wants to be asked again at {retry_at:%Y-%m-%d %H:%M:%S} UTC and not before: "
                "{failure}",
                retry_at=state.retry_at,
                failure=state.failure or msg("too many requests"),
            ),
            msg("`techsapo certs renew` waits until then by itself"),
            code="rateLimited",
            retry_at=state.retry_at,
        )
    responder = _responder(certificates, certificate)
    server = signed_in(certificates, name, certificate.directory)
    certificates.say(msg("ordering certificate {name} from {host}", name=name, host=server.host))
    key, placed = new_key(), list[Proof]()

    def place(proof: Proof) -> None:
        placed.append(proof)
        responder.place(proof)

    try:
        chain = server.certificate(signing_request(key, certificate.names), responder.kind, place)
    finally:
        for proof in placed:
            try:
                responder.clear(proof)
            except OpsError as error:
                certificates.say(
                    msg("could not clear up after {name}: {message}", name=proof.name, message=error.message)
                )
    pair = Pair(key_pem(key), chain, msg("the certificate from {host}", host=server.host))
    require(pair, certificates.required(name), certificates.now())
    return pair


def _responder(certificates: Certificates, certificate: Certificate) -> Responder:
    if certificate.dns_hook is not None:
        return DnsResponder(certificates.runner, certificate.dns_hook, certificates.folder)
    site = certificates.site
    if site is None or not site.running():
        raise OpsError(
            msg("http-01 needs the stack's nginx, which does not run"),
            msg("`techsapo up` starts it; dns-01 works without"),
        )
    # By the address of the front, or by a name with several addresses, the CA may ask any of them.
    return Everywhere([HttpResponder(each.run, each.challenges, each.url) for each in site.there()])


def signed_in(certificates: Certificates, name: str, directory: str) -> AcmeServer:
    """The CA of `directory`, spoken to as the account of certificate `name`. Raises OpsError, AcmeError."""
    contact = certificates.spec.certificates[name].contact
    root = certificates.topology.layout.acme
    return ca_of(certificates, name, directory).signed_in(root, contact, f"certificates.{name}")


def ca_of(certificates: Certificates, name: str, directory: str) -> AcmeCa:
    """The CA of `directory`, as the spec of certificate `name` says how to reach it."""
    certificate = certificates.spec.certificates[name]
    ca_file, key_id, key = certificate.ca_file, certificate.eab_key_id, certificate.eab_hmac_key
    binding = None
    if key_id is not None and key is not None and directory == certificate.directory:
        binding = Binding(key_id, key.reveal())
    known_by = certificates.folder / Path(ca_file).expanduser() if ca_file is not None else None
    return AcmeCa(directory, known_by, binding)
