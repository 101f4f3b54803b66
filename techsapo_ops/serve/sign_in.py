"""Who signed in, as nginx tells it: it asks a proxy such as oauth2-proxy about each request."""

from __future__ import annotations

import hmac
import re

from starlette.requests import Request

from techsapo_ops.spec.models.app import SignIn as SignInSpec

USER = "x-techsapo-user"
PROOF = "x-techsapo-sign-in"
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class SignIn:
    """Believes a user's name beside the secret that nginx alone has; where nothing is set up, nobody's.

    The address does not tell nginx from another program of this host.
    """

    def __init__(self, spec: SignInSpec | None) -> None:
        secret = spec.secret if spec is not None else None
        self._secret = secret.reveal().encode() if secret is not None else None

    def user(self, request: Request) -> str | None:
        """Who signed in; None where nobody did, or somebody else than nginx says so."""
        name, proof = request.headers.get(USER, ""), request.headers.get(PROOF, "")
        if self._secret is None or not hmac.compare_digest(proof.encode("latin-1"), self._secret):
            return None
        return name if _SANE.fullmatch(name) else None
