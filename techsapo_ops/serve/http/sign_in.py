"""Who signed in, as nginx tells it: it asks a proxy such as oauth2-proxy about each request."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.spec.front_door import KEYED_ROUTES, RETURN_HEADER, SIGN_IN_PATH
from techsapo_ops.spec.models.app import SignIn as SignInSpec

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
                "the sign-in service lets this request in and does not say who it is: "
                "start oauth2-proxy with --set-xauthrequest"
            )
            raise Problem(401, "sign_in", detail)
        raise Problem(401, "sign_in", msg("nobody signed in: open this page at nginx's address"))

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
