"""Ordering a certificate from its CA."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from techsapo_ops.adapters.acme import AcmeError
from techsapo_ops.adapters.acme_messages import Binding, renewal_id
from techsapo_ops.certs.account import Account, AcmeCa
from techsapo_ops.certs.challenges import DnsResponder, Everywhere, HttpResponder, Responder
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.material import Pair
from techsapo_ops.certs.order import Wanted, obtain
from techsapo_ops.certs.pending import Orders
from techsapo_ops.certs.store import Origin
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.certificates.needs import Certificates
from techsapo_ops.services.nginx.certificate import NginxSite
from techsapo_ops.spec.models.edge import Certificate


def ordered(certificates: Certificates, name: str, certificate: Certificate, orders: Orders) -> Pair:
    """A new certificate from the CA. Raises OpsError, AcmeError for what the CA refuses."""
    store = certificates.store(name)
    state = store.state
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
    newest = store.newest()
    replaces = None
    directory = certificate.directory
    pair = newest.intact if newest is not None else None
    if newest is not None and pair is not None and newest.origin == Origin("acme", directory):
        replaces = renewal_id(pair.leaf)
    wanted = Wanted(name, certificate.names, replaces)
    account = account_of(certificates, name, directory)
    certificates.say(msg("ordering certificate {name} from {host}", name=name, host=account.server.host))
    pair = obtain(wanted, account, orders, _responder(certificates, certificate), say=certificates.say)
    skew = account.server.skew
    try:
        require(pair, certificates.required(name), certificates.now())
    except OpsError as error:
        hint = (
            error.hint
            if abs(skew) < timedelta(minutes=5)
            else msg("this host's clock is off by {skew}", skew=abs(skew))
        )
        raise OpsError(error.message, hint) from None
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
    if isinstance(site, NginxSite):
        return HttpResponder(site.run, site.challenges, site.url)
    # By the address of the front, or by a name with several addresses, the CA may ask any of them.
    return Everywhere([HttpResponder(each.run, each.challenges, each.url) for each in site.there()])


def account_of(certificates: Certificates, name: str, directory: str) -> Account:
    """The account at the CA of `directory`, as the spec of the certificate says how to reach it."""
    certificate = certificates.spec.certificates[name]
    ca_file, key_id, key = certificate.ca_file, certificate.eab_key_id, certificate.eab_hmac_key
    binding = None
    if key_id is not None and key is not None and directory == certificate.directory:
        binding = Binding(key_id, key.reveal())
    known_by = certificates.folder / Path(ca_file).expanduser() if ca_file is not None else None
    return Account(
        certificates.topology.layout.acme,
        AcmeCa(directory, known_by, binding),
        certificate.contact,
        spec_path=f"certificates.{name}",
        say=certificates.say,
    )
