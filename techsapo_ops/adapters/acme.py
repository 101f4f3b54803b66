"""The door to an ACME server (RFC 8555): the client of the library `acme`, and its refusals in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from techsapo_ops import __version__
from techsapo_ops.adapters.questions import os_reason
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:  # 0.3 s, paid by the commands that talk to a CA
    import requests
    from acme import errors, messages
    from acme.client import ClientV2
    from cryptography import x509

_TIMEOUT = 30
_ORDER_SECONDS = 300.0
"""Seconds within which an order must come to its end."""

_HINTS = {
    "caa": msg("the domain's CAA record allows only other CAs: add this CA to the record"),
    "dns": msg("check the domain's name servers; the domain name must resolve from everywhere"),
    "dnssec": msg("check the domain's DNSSEC signatures"),
    "invalidContact": msg("check `contact` of the certificate in the spec"),
    "unsupportedContact": msg("`contact` must be an e-mail address"),
    "rejectedIdentifier": msg("this CA does not issue certificates for that name: check the name's spelling"),
    "malformed": msg("check `directory` in the spec"),
    "serverInternal": msg("the CA has a problem: try again later"),
    "unsupportedIdentifier": msg("this CA does not issue certificates for names of that kind"),
}
_VALIDATION_HINTS = {
    "http-01": msg(
        "connections from outside to port 80 of that name must reach this stack's nginx: check DNS, "
        "firewall and proxies"
    ),
    "dns-01": msg(
        "make sure that dns_hook sets the TXT record, and waits until every name server has the record"
    ),
}


class AcmeError(OpsError):
    """The ACME server refused, or could not be asked.

    `code` is the last part of the error's type (RFC 8555, 6.7), "" where there was no answer. `retry_at`
    is when the server wants to be asked again, where it said so.
    """

    def __init__(self, message: str, hint: str = "", *, code: str = "", retry_at: datetime | None = None):
        super().__init__(message, hint)
        self.code = code
        self.retry_at = retry_at


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties an account to one at the CA's own site (RFC 8555, 7.3.4)."""

    key_id: str
    hmac_key: str = field(repr=False)
    """In base64url."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the CA must see for `name`: a file called `token`, or a TXT record, with `value` in it."""

    name: str
    token: str
    value: str


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
        self._answer: requests.Response | None = None

        def note(response: requests.Response, *_: object, **__: object) -> None:
            self._answer = response

        self._net.session.hooks["response"].append(note)

    def sign_in(self, contact: str | None, binding: Binding | None) -> None:
        """Speak as the account of the key, which is made where the server has none."""
        from acme import messages

        with self._asking():
            client = self._client()
            try:
                client.query_registration(messages.RegistrationResource(body=messages.Registration()))
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
            else:
                return
            bound = None
            if binding is not None:
                bound = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), binding.key_id, binding.hmac_key, client.directory
                )
            client.new_account(
                messages.NewRegistration.from_data(
                    email=contact, terms_of_service_agreed=True, external_account_binding=bound
                )
            )

    def certificate(self, request: bytes, kind: str, place: Callable[[Proof], None]) -> bytes:
        """The chain (PEM) for the names of `request` (PKCS #10, PEM).

        `place` makes visible what proves that a name is ours, by a challenge of `kind`, such as "http-01".
        Call `sign_in` first.
        """
        from acme import messages

        with self._asking(kind):
            client = self._client()
            order = client.new_order(request)
            bodies = [each.body for each in order.authorizations]
            pending = [body for body in bodies if body.status == messages.STATUS_PENDING]
            answers = []
            for body, challenge in [(body, _challenge(self.host, kind, body)) for body in pending]:
                answer, value = challenge.chall.response_and_validation(self._key)
                place(Proof(body.identifier.value, challenge.chall.encode("token"), value))
                answers.append((challenge, answer))
            for challenge, answer in answers:
                client.answer_challenge(challenge, answer)
            # The library's clock is naive.
            deadline = datetime.now() + timedelta(seconds=_ORDER_SECONDS)
            return client.poll_and_finalize(order, deadline).fullchain_pem.encode()

    def revoke(self, certificate: x509.Certificate, reason: int) -> None:
        """Revoke `certificate`; `reason` is a code of RFC 5280, 5.3.1. Call `sign_in` first."""
        with self._asking():
            self._client().revoke(certificate, reason)

    def renewal_time(self, chain: bytes) -> tuple[datetime | None, datetime]:
        """When the CA suggests to renew the leaf of `chain` (PEM), and when it may be asked again (RFC 9773).

        The first is None where it suggests nothing.
        """
        with self._asking():
            suggested, again = self._client().renewal_time(chain)
            return suggested, again.astimezone(UTC)

    def _client(self) -> ClientV2:
        from acme.client import ClientV2

        return ClientV2(ClientV2.get_directory(self.directory, self._net), self._net)

    @contextmanager
    def _asking(self, kind: str = "") -> Iterator[None]:
        """Turn what the libraries raise into AcmeError."""
        import requests
        from acme import errors, messages
        from josepy.errors import Error as JoseError

        try:
            yield
        except errors.ValidationError as error:
            raise self._invalid(error, kind) from None
        except errors.IssuanceError as error:
            raise self._refused(error.error) from None
        except messages.Error as error:
            raise self._refused(error) from None
        except errors.TimeoutError:
            raise AcmeError(
                msg(
                    "the CA {host} did not finish the certificate order within {deadline:g} s",
                    host=self.host,
                    deadline=_ORDER_SECONDS,
                )
            ) from None
        except requests.exceptions.SSLError as error:
            raise AcmeError(
                msg(
                    "the certificate of the CA's server {host} is not trusted: {reason}",
                    host=self.host,
                    reason=_reason(error),
                ),
                msg(
                    "for your own CA, set `ca_file` to its root certificate; otherwise check this host's "
                    "clock"
                ),
            ) from None
        except requests.exceptions.JSONDecodeError as error:
            raise self._odd(str(error)) from None
        except requests.RequestException as error:
            raise AcmeError(
                msg("the CA {host} can't be reached: {reason}", host=self.host, reason=_reason(error)),
                msg("the certificate in use stays as it is"),
            ) from None
        except (errors.Error, JoseError, KeyError, ValueError) as error:
            raise self._odd(str(error)) from None

    def _refused(self, error: messages.Error) -> AcmeError:
        code = error.code or str(error.typ).rpartition(":")[2]
        at = self._retry_at()
        if code != "rateLimited":
            return AcmeError(
                msg(
                    "the CA {host} refused the request: {detail} ({code})",
                    host=self.host,
                    detail=_words(error),
                    code=code,
                ),
                _HINTS.get(code, ""),
                code=code,
                retry_at=at,
            )
        until = msg("; try again at {retry_at:%Y-%m-%d %H:%M:%S} UTC", retry_at=at) if at else ""
        return AcmeError(
            msg(
                "the CA {host} rate-limits requests of this kind: {detail}{until}",
                host=self.host,
                detail=_words(error),
                until=until,
            ),
            msg("for tests, set `directory` to the CA's staging environment, which has separate limits"),
            code=code,
            retry_at=at,
        )

    def _invalid(self, error: errors.ValidationError, kind: str) -> AcmeError:
        failed = error.failed_authzrs[0].body
        wrong = next((each.error for each in failed.challenges if each.error is not None), None)
        return AcmeError(
            msg(
                "the CA {host} could not validate {authorization}: {error}",
                host=self.host,
                authorization=failed.identifier.value,
                error=_words(wrong) if wrong is not None else failed.status,
            ),
            _VALIDATION_HINTS.get(kind, ""),
            code="validation",
        )

    def _odd(self, what: str) -> AcmeError:
        """What answers without words of its own: a server that is down behind its front, or is none."""
        answer = self._answer
        if answer is not None and answer.status_code >= 500:
            status = f"{answer.status_code} {answer.reason}".strip()
            return AcmeError(
                msg("the CA {host} has a problem: {status}", host=self.host, status=status),
                retry_at=self._retry_at(),
            )
        return AcmeError(
            msg(
                "{directory} does not answer as an ACME server: {what}",
                directory=self.directory,
                what=what[:300],
            ),
            _HINTS["malformed"],
        )

    def _retry_at(self) -> datetime | None:
        header = self._answer.headers.get("Retry-After") if self._answer is not None else None
        return retry_at(header, datetime.now(UTC))


def retry_at(header: str | None, now: datetime) -> datetime | None:
    """The moment that a Retry-After header means (RFC 9110, 10.2.3); None where there is none."""
    if header is None:
        return None
    if header.strip().isdigit():
        return now + timedelta(seconds=min(int(header), 366 * 86400))
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _challenge(host: str, kind: str, authorization: messages.Authorization) -> messages.ChallengeBody:
    """The challenge of `kind`. Raises OpsError where the server offers none."""
    offered = {getattr(each.chall, "typ", ""): each for each in authorization.challenges}
    if kind not in offered:
        raise OpsError(
            msg(
                "the CA {host} does not offer the challenge {kind} for {authorization}, only {offered}",
                host=host,
                kind=kind,
                authorization=authorization.identifier.value,
                offered=", ".join(filter(None, offered)),
            ),
            msg("choose another `challenge` in the spec"),
        )
    return offered[kind]


def _words(problem: messages.Error) -> str:
    """An RFC 9457 problem in the server's own words, sub-problems included."""
    parts = [str(problem.detail or problem.title or problem.typ)]
    for part in problem.subproblems or ():
        name = part.identifier.value if part.identifier is not None else ""
        parts.append(f"{name}: {_words(part)}" if name else _words(part))
    return joined("; ", parts)


def _reason(error: BaseException) -> str:
    """Why a connection failed, from below the layers of requests and urllib3."""
    below = getattr(error, "reason", None) or next(iter(error.args), None)
    if isinstance(below, BaseException):
        return _reason(below)
    return os_reason(error) or str(error)[:200]
