"""What the CA of a certificate is asked by our account there: an order, a revocation, a time to renew."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from techsapo_ops.adapters.acme import AcmeError, AcmeServer, Binding, Proof
from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.certs.challenges import DnsResponder, Everywhere, HttpResponder, Responder
from techsapo_ops.certs.checks import require
from techsapo_ops.certs.material import Pair, key_pem, new_key, signing_request
from techsapo_ops.certs.needs import Certificates, Managed
from techsapo_ops.certs.store import Origin, Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown

REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
}
"""Why a certificate is revoked, by the names and codes of RFC 5280, 5.3.1, that a subscriber may give."""
_SHORTEST_ASK = timedelta(minutes=1)
_LONGEST_ASK = timedelta(days=1)


def ordered(certificate: Managed) -> Pair:
    """A new certificate from the CA, with a key of its own.

    A run that was killed begins anew: CAs count certificates, not orders. Raises OpsError, AcmeError for
    what the CA refuses.
    """
    stack, state = certificate.stack, certificate.store.state
    if state.retry_at is not None and state.retry_at > stack.now():
        raise AcmeError(
            msg(
                "the CA accepts no requests before {retry_at:%Y-%m-%d %H:%M:%S} UTC: {failure}",
                retry_at=state.retry_at,
                failure=state.failure or msg("too many requests"),
            ),
            msg("until then, `techsapo certs renew` does not ask the CA; a later run tries again"),
            code="rateLimited",
            retry_at=state.retry_at,
        )
    responder = _responder(certificate)
    server = signed_in(certificate, certificate.spec.directory)
    stack.say(msg("ordering certificate {name} from {host}", name=certificate.name, host=server.host))
    key, placed = new_key(), list[Proof]()

    def place(proof: Proof) -> None:
        placed.append(proof)
        responder.place(proof)

    try:
        chain = server.certificate(signing_request(key, certificate.spec.names), responder.kind, place)
    finally:
        for proof in placed:
            try:
                responder.clear(proof)
            except OpsError as error:
                stack.say(
                    msg(
                        "could not remove the challenge for {name}: {message}",
                        name=proof.name,
                        message=error.message,
                    )
                )
    pair = Pair(key_pem(key), chain, msg("the certificate from {host}", host=server.host))
    require(pair, certificate.required, stack.now())
    return pair


def _responder(certificate: Managed) -> Responder:
    stack = certificate.stack
    if certificate.spec.dns_hook is not None:
        return DnsResponder(stack.runner, certificate.spec.dns_hook, stack.folder)
    site = stack.site
    if site is None or not site.running():
        raise OpsError(
            msg("http-01 needs the stack's nginx, which is not running"),
            msg("`techsapo up` starts nginx; dns-01 works without nginx"),
        )
    # By the address of the front, or by a name with several addresses, the CA may ask any of them.
    return Everywhere([HttpResponder(each.run, each.challenges, each.url) for each in site.there()])


def ask_when(certificate: Managed, version: Version) -> None:
    """Ask the CA when it wants `version` to be renewed, as often as it allows.

    A CA that can't be asked keeps nothing from being renewed by the certificate's own life.
    """
    store, now = certificate.store, certificate.stack.now()
    state, pair, directory = store.state, version.intact, certificate.spec.directory
    if pair is None or version.origin != Origin("acme", directory) or pair.leaf.not_valid_after_utc <= now:
        return
    serial = f"{pair.leaf.serial_number:x}"
    if state.suggested_serial == serial and state.ask_again_at is not None and state.ask_again_at > now:
        return
    try:
        server = ca_of(certificate, directory).server(certificate.stack.topology.layout.acme)
        at, again = server.renewal_time(pair.chain)
    except AcmeError as error:
        certificate.stack.say(
            msg(
                "certificate {name}: no renewal information: {message}",
                name=certificate.name,
                message=error.message,
            )
        )
        return
    again = min(max(again, now + _SHORTEST_ASK), now + _LONGEST_ASK)
    store.remember(replace(state, suggested_at=at, suggested_serial=serial, ask_again_at=again))


def revocable(certificates: Certificates, name: str, reason: str) -> Version:
    """The version that `revoke` would revoke. Raises OpsError for one that no CA issued, an unknown name or
    reason.
    """
    (certificate,) = certificates.managed([name])
    if reason not in REASONS:
        raise unknown(msg("reason"), reason, REASONS)
    version = certificate.store.live()
    if version is None or version.origin.source != "acme":
        raise OpsError(
            msg("certificate {name} is not from an ACME CA", name=name), msg("there is nothing to revoke")
        )
    return version


def revoke(certificates: Certificates, name: str, reason: str, *, wait: float = 0.0) -> Version:
    """Revoke the certificate `name` at its CA; returns the version, which stays in use until it is renewed.

    One that is revoked already is no error: a run that was killed may not have noted it. Raises OpsError as
    `revocable` does, and for what the CA refuses.
    """
    with certificates.alone(wait):
        version = revocable(certificates, name, reason)
        certificate = certificates.of(name)
        server = signed_in(certificate, version.origin.directory)
        try:
            server.revoke(version.pair.leaf, REASONS[reason])
        except AcmeError as error:
            if error.code != "alreadyRevoked":
                raise
        certificate.store.remember(replace(certificate.store.state, revoked=version.number))
        return version


def signed_in(certificate: Managed, directory: str) -> AcmeServer:
    """The CA of `directory`, spoken to as the account of `certificate`. Raises OpsError, AcmeError."""
    root, spec_path = certificate.stack.topology.layout.acme, f"certificates.{certificate.name}"
    return ca_of(certificate, directory).signed_in(root, certificate.spec.contact, spec_path)


def ca_of(certificate: Managed, directory: str) -> AcmeCa:
    """The CA of `directory`, as the spec of `certificate` says how to reach it."""
    spec = certificate.spec
    binding = None
    if spec.eab_key_id is not None and spec.eab_hmac_key is not None and directory == spec.directory:
        binding = Binding(spec.eab_key_id, spec.eab_hmac_key.reveal())
    known_by = None if spec.ca_file is None else certificate.stack.folder / Path(spec.ca_file).expanduser()
    return AcmeCa(directory, known_by, binding)


_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_REQUIRED = "externalAccountRequired"
_ABOUT_BINDING = {_REQUIRED, "unauthorized", "malformed"}
"""What CAs answer to an account that is not bound as they want; RFC 8555 names the first alone."""


@dataclass(frozen=True, slots=True)
class AcmeCa:
    """A CA that speaks ACME: where it is asked, the CA by which its server is known, and the `binding` to a
    customer of its own that it wants for a new account.
    """

    directory: str
    ca_file: Path | None = None
    binding: Binding | None = None

    def folder(self, root: Path) -> Path:
        """Where below `root` an account there is kept; for another customer's, it is another account."""
        whose = self.directory if self.binding is None else f"{self.directory} {self.binding.key_id}"
        digest = hashlib.sha256(whose.encode()).hexdigest()[:8]
        return root / "accounts" / f"{_UNFIT.sub('_', urlsplit(self.directory).netloc)}-{digest}"

    def server(self, root: Path) -> AcmeServer:
        """Its server, spoken to with the key in that folder (0700), which is made where there is none (0600).

        Raises OpsError when the key can't be read or written.
        """
        path = self.folder(root) / "account.key"
        if not path.exists():
            private_folder(path.parent, root)
            write_atomic(path, key_pem(new_key()), 0o600)
        try:
            return AcmeServer(self.directory, path.read_bytes(), ca_file=self.ca_file)
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read the ACME account's key {path}: {strerror}",
                    path=path,
                    strerror=error.strerror,
                )
            ) from None

    def signed_in(self, root: Path, contact: str | None, spec_path: str) -> AcmeServer:
        """Its server, spoken to as the account, which is made where the CA has none.

        `contact` is an e-mail address. The binding is used when the account is made, which is then the CA's
        for good. `spec_path` is the certificate's, for words. Raises OpsError, AcmeError.
        """
        server = self.server(root)
        try:
            server.sign_in(contact, self.binding)
        except AcmeError as error:
            if error.code not in _ABOUT_BINDING:
                raise
            hint = error.hint
            if self.binding is not None:
                hint = msg(
                    "compare {path}.eab_key_id and its HMAC key with the CA's site; some keys expire",
                    path=spec_path,
                )
            elif error.code == _REQUIRED:
                hint = msg(
                    "this CA requires an account on its site: create one, then set {path}.eab_key_id and "
                    "{path}.eab_hmac_key_file to the values shown there",
                    path=spec_path,
                )
            elif error.code == "unauthorized":
                hint = msg(
                    "if the account was closed, remove {folder}: a new account is then created",
                    folder=self.folder(root),
                )
            raise AcmeError(error.message, hint, code=error.code, retry_at=error.retry_at) from None
        return server
