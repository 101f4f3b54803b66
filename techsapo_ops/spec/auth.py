"""Who needs an API key, as the app is told."""

from __future__ import annotations

from techsapo_ops.spec.environment import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.spec.models.base import ATTACHED

KEYED_ROUTES = r"^/(api|v1|ws|metrics)(/|$)"
"""Paths of the routes where the app checks API keys. With a key nobody has to sign in there; elsewhere a key
counts for nothing."""
SIGN_IN_PATH = "/sign-in"
"""Where nginx asks the app for the redirect to the sign-in page."""
RETURN_HEADER = "X-Techsapo-Return"
"""By which it says where to come back to: path and query, as the browser sent them."""


def monitoring_networks(auth: Auth, *, isolated: bool) -> tuple[str, ...]:
    """Which networks may look at the inside without a key, beside this host.

    In a container, which is `isolated`, Prometheus and this host's commands come from the networks it is in.
    """
    if auth.monitoring_networks is not None:
        return auth.monitoring_networks
    return (ATTACHED,) if isolated else ()


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
