"""The door to an ACME server (RFC 8555), on the libraries `acme` and `josepy`.

They sign, keep nonces and know the messages; what is ours is to ask again after a bad nonce or a broken
connection, to respect Retry-After, and to turn every refusal into words.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from techsapo_ops import __version__
from techsapo_ops.adapters.acme_messages import (
    Authorization,
    Binding,
    Challenge,
    Order,
    base64url,
    renewal_id,
    retry_at,
)
from techsapo_ops.adapters.acme_words import clock_hint, explain, reason, words
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:  # 0.3 s, paid by the commands that talk to a CA
    import requests
    from acme import messages
    from cryptography import x509

_TIMEOUT = 30
_NONCES = 20
"""Nonces that are tried before the server is given up; pebble rejects some on purpose."""
_CONNECTIONS = 3
_PAUSE = 0.5

_KEPT = msg("what was begun is kept: the next `techsapo certs renew` goes on from there")

_NEEDED = {"newNonce", "newAccount", "newOrder", "revokeCert"}

_Result = TypeVar("_Result")


class AcmeError(OpsError):
    """The ACME server refused, or could not be asked.

    `code` is the last part of the error's type (RFC 8555, 6.7), "" where there was no answer. `retry_at`
    is when the server wants to be asked again, where it said so.
    """

    def __init__(self, message: str, hint: str = "", *, code: str = "", retry_at: datetime | None = None):
        super().__init__(message, hint)
        self.code = code
        self.retry_at = retry_at


class AcmeServer:
    """One ACME server, spoken to with one account key. Every method may raise AcmeError."""

    def __init__(self, directory: str, key: bytes, *, ca_file: Path | None = None) -> None:
        """`key` is the account's ECDSA P-256 key as PEM; `ca_file` the CA of the server's own certificate."""
        from acme import client
        from cryptography.hazmat.primitives import serialization
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        self.directory = directory
        self.host = urlsplit(directory).netloc
        self._key = JWKEC(key=serialization.load_pem_private_key(key, None))
        self._net = client.ClientNetwork(
            self._key,
            alg=ES256,
            # requests takes a path here; the library's annotation says bool.
            verify_ssl=str(ca_file) if ca_file is not None else True,  # type: ignore[arg-type]
            user_agent=f"techsapo-ops/{__version__}",
            timeout=_TIMEOUT,
        )
        self._net.session.hooks["response"].append(self._note)
        self._answer: requests.Response | None = None
        self._resources: dict[str, Any] | None = None
        self.skew = timedelta(0)
        """How far this host's clock is ahead of the server's, by its last answer."""

    # --- account

    def register(self, contact: str | None, binding: Binding | None = None) -> str:
        """Make the account of the key, or find it where it exists; returns its URL."""
        from acme import messages

        self._net.account = None
        body = messages.NewRegistration.from_data(
            email=contact,
            terms_of_service_agreed=True,
            external_account_binding=self._bound(binding) if binding is not None else None,
        )
        url = str(self._post("newAccount", body).headers["Location"])
        self.use(url)
        return url

    def wants_binding(self) -> bool:
        """Whether accounts here must be bound to one at the CA's own site (RFC 8555, 7.1.1)."""
        meta = self._directory().get("meta")
        return isinstance(meta, dict) and meta.get("externalAccountRequired") is True

    def use(self, account: str) -> None:
        """Speak as the account at this URL from now on."""
        from acme import messages

        self._net.account = messages.RegistrationResource(body=messages.Registration(), uri=account)

    def update_contact(self, account: str, contact: str | None) -> None:
        """Tell the server another contact address, or that there is none."""
        from acme import messages

        addresses = (f"mailto:{contact}",) if contact else ()
        self._post(account, messages.UpdateRegistration(contact=addresses))

    def deactivate(self, account: str) -> None:
        """Close the account for good."""
        from acme import messages

        self._post(account, messages.UpdateRegistration.from_json({"status": "deactivated"}))

    # --- orders

    def new_order(self, names: Sequence[str], replaces: str | None = None) -> Order:
        """Order a certificate; `replaces` is the ARI id of the one it takes the place of (RFC 9773)."""
        from acme import messages
        from josepy.json_util import field

        class NewOrder(messages.NewOrder):
            replaces: str | None = field("replaces", omitempty=True)

        wanted = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=n) for n in names]
        old = replaces if replaces is not None and "renewalInfo" in self._directory() else None
        response = self._post("newOrder", NewOrder(identifiers=wanted, replaces=old))
        return self._order(str(response.headers["Location"]), response)

    def order(self, url: str) -> Order:
        """The order at this URL as it stands."""
        return self._order(url, self._post(url, None))

    def authorization(self, url: str) -> Authorization:
        """The authorization at this URL as it stands."""
        response = self._post(url, None)
        body = response.json()
        wildcard = "*." if body.get("wildcard") else ""
        challenges = tuple(
            Challenge(c["type"], c["url"], c.get("token", ""), c.get("status", "pending"))
            for c in body.get("challenges", ())
        )
        wrong = [c["error"] for c in body.get("challenges", ()) if c.get("error")]
        return Authorization(
            url,
            wildcard + body["identifier"]["value"],
            body["status"],
            challenges,
            words(wrong[0]) if wrong else "",
            self._wait(),
        )

    def key_authorization(self, token: str) -> str:
        """What proves that whoever answers for the name holds this account's key."""
        return f"{token}.{base64url(self._key.thumbprint())}"

    def answer(self, challenge: Challenge) -> None:
        """Tell the server that it may look."""
        from acme import challenges

        self._post(challenge.url, challenges.KeyAuthorizationChallengeResponse())

    def finalize(self, order: Order, request: bytes) -> Order:
        """Ask for the certificate of an order that is ready; `request` is PKCS #10, DER."""
        from acme import messages
        from cryptography import x509

        body = messages.CertificateRequest(csr=x509.load_der_x509_csr(request))
        return self._order(order.url, self._post(order.finalize, body))

    def certificate(self, url: str) -> bytes:
        """The chain (PEM) of an order that is valid."""
        content: bytes = self._post(url, None).content
        return content

    def revoke(self, certificate: x509.Certificate, reason: int) -> None:
        """Revoke `certificate`; `reason` is a code of RFC 5280, 5.3.1."""
        from acme import messages

        self._post("revokeCert", messages.Revocation(certificate=certificate, reason=reason))

    def renewal_window(self, certificate: x509.Certificate) -> tuple[datetime, datetime, float] | None:
        """When the CA suggests to renew `certificate`: from, to, and seconds until it may be asked again.

        None where the server has no renewal information (RFC 9773).
        """
        base = self._directory().get("renewalInfo")
        if base is None:
            return None
        url = f"{base}/{renewal_id(certificate)}"
        body = self._try(lambda: self._net.get(url)).json()
        window = body["suggestedWindow"]
        start, end = (datetime.fromisoformat(window[key]) for key in ("start", "end"))
        return start, end, self._wait()

    # --- transport

    def _bound(self, binding: Binding) -> dict[str, Any]:
        from acme import messages

        return messages.ExternalAccountBinding.from_data(
            self._key.public_key(),
            binding.key_id,
            binding.hmac_key,
            messages.Directory(self._directory()),
        )

    def _directory(self) -> dict[str, Any]:
        if self._resources is None:
            found = self._try(lambda: self._net.get(self.directory)).json()
            if not isinstance(found, dict) or not found.keys() >= _NEEDED:
                raise self._odd(msg("its directory lacks the resources of RFC 8555"))
            self._resources = found
        return self._resources

    def _post(self, resource: str, body: Any) -> requests.Response:
        directory = self._directory()
        url = directory.get(resource, resource)
        return self._try(lambda: self._net.post(url, body, new_nonce_url=directory["newNonce"]))

    def _try(self, ask: Callable[[], _Result]) -> _Result:
        import requests
        from acme import errors, messages

        nonces, connections = _NONCES, _CONNECTIONS
        while True:
            self._answer = None
            try:
                return ask()
            except messages.Error as error:
                nonces -= 1
                if error.code != "badNonce" or nonces == 0:
                    raise self._refused(error) from None
            except errors.NonceError:
                nonces -= 1
                if nonces == 0:
                    raise AcmeError(
                        msg("{host} gives no nonces that it takes back", host=self.host)
                    ) from None
            except (requests.exceptions.SSLError, ssl.SSLError) as error:
                raise self._untrusted(error) from None
            except requests.RequestException as error:
                # A peer that is silent for so long is not asked thrice.
                connections = 0 if isinstance(error, requests.Timeout) else connections - 1
                if connections == 0:
                    raise self._unreachable(error) from None
                time.sleep(_PAUSE)
            except errors.ConflictError:  # the library's word for any 409, whatever its problem says
                raise self._refused(self._conflict()) from None
            except (errors.ClientError, ValueError) as error:
                raise self._in_trouble() or self._odd(str(error)[:300]) from None

    def _note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self._answer = response
        try:
            theirs = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return
        self.skew = datetime.now(UTC) - theirs

    def _order(self, url: str, response: requests.Response) -> Order:
        body = response.json()
        error = body.get("error")
        return Order(
            url,
            body["status"],
            body["finalize"],
            tuple(body["authorizations"]),
            body.get("certificate"),
            words(error) if error else "",
            self._wait(),
        )

    def _wait(self) -> float:
        at = self._retry_at()
        return max((at - datetime.now(UTC)).total_seconds(), 0.0) if at is not None else 0.0

    def _retry_at(self) -> datetime | None:
        header = self._answer.headers.get("Retry-After") if self._answer is not None else None
        return retry_at(header, datetime.now(UTC))

    def _conflict(self) -> messages.Error:
        """The problem of the last answer. Raises AcmeError when it has none."""
        from acme import messages
        from josepy.errors import DeserializationError

        try:
            error: messages.Error = messages.Error.from_json(
                self._answer.json() if self._answer is not None else None
            )
        except (ValueError, TypeError, DeserializationError):
            raise self._odd(msg("409 without a problem of RFC 9457")) from None
        return error

    def _odd(self, what: str) -> AcmeError:
        return AcmeError(
            msg("{directory} does not answer as an ACME server: {what}", directory=self.directory, what=what),
            msg("check `directory` in the spec"),
        )

    def _in_trouble(self) -> AcmeError | None:
        """What a server says that is down behind its front: a status of 500 and more, and no problem."""
        if self._answer is None or self._answer.status_code < 500:
            return None
        status = msg(
            "{status_code} {reason}", status_code=self._answer.status_code, reason=self._answer.reason
        ).strip()
        return AcmeError(
            msg("{host} is in trouble: {status}", host=self.host, status=status),
            _KEPT,
            retry_at=self._retry_at(),
        )

    def _refused(self, error: messages.Error) -> AcmeError:
        at = self._retry_at()
        code = error.code or str(error.typ).rpartition(":")[2]
        message, hint = explain(self.host, code, words(error.to_partial_json()), at)
        return AcmeError(message, clock_hint(self.skew) or hint, code=code, retry_at=at)

    def _untrusted(self, error: Exception) -> AcmeError:
        return AcmeError(
            msg("{host}: its own certificate is not trusted: {reason}", host=self.host, reason=reason(error)),
            clock_hint(self.skew)
            or msg("for a CA of your own, name its root by `ca_file`; else check this host's clock"),
        )

    def _unreachable(self, error: Exception) -> AcmeError:
        return AcmeError(
            msg("{host} can't be reached: {reason}", host=self.host, reason=reason(error)),
            _KEPT,
        )
