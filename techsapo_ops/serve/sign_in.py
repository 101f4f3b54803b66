"""Who signed in, as nginx tells it: it asks a proxy such as oauth2-proxy about each request."""

from __future__ import annotations

import hashlib
import hmac
import re

from starlette.requests import Request

from techsapo_ops.spec.models.app import SignIn as SignInSpec

USER = "x-techsapo-user"
PROOF = "x-techsapo-sign-in"
_LONGEST = 64
_OTHER = re.compile(r"[^A-Za-z0-9._@+-]")


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
        proof = request.headers.get(PROOF, "")
        if not hmac.compare_digest(proof.encode("latin-1"), self._secret):
            return ""
        name = request.headers.get(USER, "")
        plain = _OTHER.sub("_", name)
        if plain == name and len(name) <= _LONGEST:
            return name
        return f"{plain[: _LONGEST - 9]}.{hashlib.sha256(name.encode('latin-1')).hexdigest()[:8]}"
