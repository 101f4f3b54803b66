"""Who asks, by key or as a proxy signed them in, whether they may, and how often."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.http.anomalies import Anomalies
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.proxies import Neighbours, header_of
from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.spec.front_door import KEYED_ROUTES, RETURN_HEADER, SIGN_IN_PATH
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.spec.models.app import SignIn as SignInSpec
from techsapo_ops.stores.keys import ApiKey, KeyRefused, KeyRing, Plan, Scope
from techsapo_ops.stores.limits import RateLimiter
from techsapo_ops.wallbounce.start import key_file, no_key

log = structlog.get_logger()

USER = "x-techsapo-user"
PROOF = "x-techsapo-sign-in"
_LONGEST = 64
_OTHER = re.compile(r"[^A-Za-z0-9._@+-]")
_WITHOUT_A_USER = re.compile(rf"{KEYED_ROUTES}|^/(ping|health|openapi\.json|{SIGN_IN_PATH[1:]})$")
"""Routes that are no page: those that check keys, those of probes, and the way to the sign-in."""
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")
"""An address of this server: a browser takes `//name` and `/\\name` for another one."""
_LONGEST_RETURN = 2048
"""Characters, escaped: more than 4 KB of headers nginx does not take from the app."""


_SANE_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_DETAILS = {
    "missing": msg("this API needs a key: send `Authorization: Bearer KEY`"),
    "malformed": msg("that is not an API key of this service"),
    "unknown": msg("that API key is not known"),
    "revoked": msg("that API key was revoked"),
    "expired": msg("that API key has expired"),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. `key` is None while the API is open.

    `signed_in` is who signed in, as nginx tells: "" for nobody, None where nobody can. `claimed` is whom the
    client says it asks for: it proves nothing, and counts only where there are neither keys nor signing in.
    """

    claimed: str | None
    key: ApiKey | None
    address: str
    signed_in: str | None = None

    @property
    def user(self) -> str | None:
        """The actor: who signed in, else the name of the key; while the API is open, who the client says."""
        if self.signed_in:
            return self.signed_in
        if self.key is not None:
            return self.key.name[:64]
        return self.claimed if self.signed_in is None else None

    @property
    def id(self) -> str:
        """What tells one caller's requests from another's."""
        if self.key is not None:
            return self.key.id
        return f"@{self.signed_in}" if self.signed_in else ""


PER_MINUTE: Mapping[Plan, int] = {"basic": 100, "standard": 1000, "premium": 5000}
"""Requests a minute of a key without a rate of its own, by its plan."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in. Raises Problem for those that it does not."""

    neighbours: Neighbours
    keys: KeyRing | None
    limiter: RateLimiter | None
    metrics: Metrics
    anomalies: Anomalies
    sign_in: SignIn

    @property
    def needs_keys(self) -> bool:
        """Whether questions need a key."""
        return self.keys is not None

    async def admit(self, request: Request, scope: Scope = "ask") -> Caller:
        """The caller of a question: with a key and within its rate, or anybody while the API is open.

        Of something else its key has another `scope`.
        """
        caller = await self.known(request, scope)
        key = caller.key
        if key is None or self.limiter is None:
            return caller
        limit = key.per_minute or PER_MINUTE[key.plan]
        allowance = await self.limiter.hit(key.id, limit)
        request.state.headers = allowance.headers()
        if not allowance.allowed:
            self.metrics.count("techsapo_rate_limit_hits_total", key.plan)
            raise Problem(
                429,
                "rate_limited",
                msg("this key is limited to {limit} questions per minute", limit=limit),
                retry_after=allowance.wait,
                limit=limit,
            )
        return caller

    async def known(self, request: Request, scope: Scope = "ask") -> Caller:
        """The caller of what costs nothing: as of a question, and whatever the rate of its key."""
        address = str(request.state.client)
        given = header_of(request.scope, b"x-user-id")
        claimed = given if given and _SANE_USER.fullmatch(given) else None
        if self.keys is None:
            signed_in = self.sign_in.user(request)
            if signed_in == "" and header_of(request.scope, b"x-forwarded-for") is not None:
                # nginx would tell who it is; one with a template of the operator's own may not ask.
                raise Problem(401, "sign_in", msg("nobody is signed in, or nginx does not pass on the user"))
            return Caller(claimed, None, address, signed_in)
        key = self._check(request, address, scope)
        return Caller(claimed, key, address, self.sign_in.user(request))

    async def admit_monitor(self, request: Request, *also: Scope) -> ApiKey | None:
        """Let a look at the inside pass: from this host and named networks, else with a key, its own or one
        that may do one of `also`.
        """
        if self.keys is None or self.neighbours.has(request.scope):
            return None
        return self._check(request, str(request.state.client), "monitor", *also)

    @property
    def knows_people(self) -> bool:
        """Whether people are told apart: by keys, or by signing in."""
        return self.keys is not None or self.sign_in.expected

    def barred(self, key: str, scope: Scope) -> Problem | None:
        """Why a stream that the key of that id opened has to end; None while it may go on."""
        refusal = self.keys.refusal(key, scope) if self.keys is not None else None
        if refusal is None:
            return None
        return Problem(
            401, "unauthorized", _DETAILS.get(refusal, msg("that API key needs scope {scope}", scope=scope))
        )

    def watch(self, caller: Caller) -> Callable[[], Problem | None] | None:
        """What tells why the stream of `caller` has to end; None where nothing can bar it."""
        key = caller.key
        return None if key is None else lambda: self.barred(key.id, "ask")

    def _check(self, request: Request, address: str, *scopes: Scope) -> ApiKey:
        assert self.keys is not None  # noqa: S101 - both callers have looked
        try:
            key = self.keys.check(given_key(request), *scopes)
        except KeyRefused as error:
            self.metrics.count("techsapo_auth_failures_total", error.reason)
            self.anomalies.key_refused(error.reason, request.state.request_id, address)
            log.warning(
                "Authentication failed",
                requestId=request.state.request_id,
                reason=error.reason,
                client=address,
                trouble=self.keys.trouble or None,
                # A file of keys that can't be read is a kind of its own: others' lines must not keep it out.
                refused="keys file" if self.keys.trouble else error.reason,
            )
            if error.reason == "scope":
                raise Problem(
                    403,
                    "forbidden",
                    msg("that API key may not do this (needs scope {scope})", scope=scopes[-1]),
                ) from None
            request.state.headers = {"WWW-Authenticate": 'Bearer realm="techsapo"'}
            raise Problem(401, "unauthorized", _DETAILS[error.reason]) from None
        self.anomalies.key_used(key.id, address, request.state.request_id)
        return key


def first(admit: Callable[..., Awaitable[object]], *scopes: Scope) -> Any:
    """What a route depends on so that `admit` lets its caller in before its parameters are looked at.

    A stranger learns nothing of what they must be. The caller is `request.state.caller`.
    """

    async def let_in(request: Request) -> None:
        request.state.caller = await admit(request, *scopes)

    return Depends(let_in)


def given_key(request: Request) -> str | None:
    """The key that a request carries, as either header has it."""
    kind, _, token = (header_of(request.scope, b"authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else header_of(request.scope, b"x-api-key")


def key_ring(auth: Auth, default: Path) -> KeyRing | None:
    """The keys that requests need, None while the API is open.

    Raises OpsError where the app may not start without a key and there is none.
    """
    if not auth.required:
        return None
    file = key_file(auth, default)
    ring = KeyRing(file)
    if (error := no_key(ring, file, auth)) is not None:
        raise error
    if ring.active() == 0:
        log.warning(
            "No API key yet: every question is refused", file=str(file.path), trouble=ring.trouble or None
        )
    return ring


class SignIn:
    """Believes a user's name beside the secret that nginx alone has; where nothing is set up, nobody's.

    The address does not tell nginx from another program of this host.
    """

    def __init__(self, spec: SignInSpec | None) -> None:
        secret = spec.secret if spec is not None else None
        self._secret = secret.reveal().encode() if secret is not None else None

    @property
    def expected(self) -> bool:
        """Whether people sign in at all."""
        return self._secret is not None

    def user(self, request: Request) -> str | None:
        """Who signed in; "" where nobody did or another than nginx says so, None where nothing is set up.

        In a name that the audit log can't hold, other characters are `_`; a digest tells such names apart.
        """
        if self._secret is None:
            return None
        if not self._by_nginx(request):
            return ""
        name = request.headers.get(USER, "")
        plain = _OTHER.sub("_", name)
        if plain == name and len(name) <= _LONGEST:
            return name
        return f"{plain[: _LONGEST - 9]}.{hashlib.sha256(name.encode('latin-1')).hexdigest()[:8]}"

    async def admit(self, request: Request) -> None:
        """Pass what needs no user. Raises Problem (401) for a page or form where nobody signed in, such as
        one that somebody asks for at the app's own port.
        """
        if self.user(request) != "" or _WITHOUT_A_USER.search(request.url.path):
            return
        if self._by_nginx(request):
            detail = msg(
                "the sign-in service admits this request but does not name the user: "
                "start oauth2-proxy with --set-xauthrequest"
            )
            raise Problem(401, "sign_in", detail)
        raise Problem(401, "sign_in", msg("nobody is signed in: open this page at nginx's address"))

    def _by_nginx(self, request: Request) -> bool:
        """Whether the request has nginx's secret."""
        proof = request.headers.get(PROOF, "").encode("latin-1")
        return self._secret is not None and hmac.compare_digest(proof, self._secret)


def sign_in_routes() -> APIRouter:
    """Where nginx sends whoever did not sign in: on to the sign-in page, and back from there."""
    router = APIRouter(include_in_schema=False)

    async def lead(request: Request) -> Response:
        wanted = request.headers.get(RETURN_HEADER, "/")
        escaped = quote(wanted, safe="/") if _OWN_PATH.fullmatch(wanted) else "/"
        if len(escaped) > _LONGEST_RETURN:
            escaped = "/"
        return RedirectResponse(f"/oauth2/sign_in?rd={escaped}", 302)

    router.add_api_route(SIGN_IN_PATH, lead, methods=["GET"])
    return router
