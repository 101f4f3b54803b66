"""Who needs an API key, as the app is told."""

from __future__ import annotations

from techsapo_ops.spec.edition import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth


def resolved_auth(spec: Spec, environment: str | None) -> Auth:
    """`app.auth` with every default filled in but the file's place and the proxies.

    Keys are needed where app or nginx listens beyond loopback, where the spec asks for them, and always in
    environment production, which also refuses to start while there are none.
    """
    auth, production = spec.app.auth, environment == PRODUCTION
    refuse = auth.refuse_without_keys
    return auth.model_copy(
        update={
            "required": spec.needs_keys or production,
            "refuse_without_keys": production if refuse is None else refuse,
        }
    )
