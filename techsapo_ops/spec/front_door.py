"""How the app is reached: under which host names, by whom with an API key, and by HTTPS alone."""

from __future__ import annotations

from urllib.parse import urlsplit

from techsapo_ops.spec import PRODUCTION
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.spec.models.base import ATTACHED
from techsapo_ops.spec.models.servers import Certificate

KEYED_ROUTES = r"^/(api|v1|ws|metrics)(/|$)"
"""Paths of the routes where the app checks API keys. With a key nobody has to sign in there; elsewhere a key
counts for nothing."""
SIGN_IN_PATH = "/sign-in"
"""Where nginx asks the app for the redirect to the sign-in page."""
RETURN_HEADER = "X-Techsapo-Return"
"""By which it says where to come back to: path and query, as the browser sent them."""
SETTING = "app.allowed_hosts"
"""Where a spec adds names."""
_MONTH, _TWO_YEARS = 30 * 86400, 2 * 365 * 86400
"""For who did not ask for it a month: a certificate that can't be renewed must not shut a name for years."""
_PRIVATE = frozenset(
    {"arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localhost",
     "onion", "private", "test"}
)  # fmt: skip
"""Last labels of names that no public authority signs: RFC 6761, 6762, 8375, ICANN's `internal`, habits."""


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


def host_names(spec: Spec) -> tuple[str, ...]:
    """nginx's name, those of the certificates that it serves, and what the spec adds, each once.

    The name in `app.public_url` is one as well: links in messages lead there.
    """
    served = [c.names for c in spec.certificates.values() if c.source != "external"]
    named = (spec.nginx.server_name,) if spec.runs_nginx and spec.nginx.server_name is not None else ()
    linked = urlsplit(spec.app.public_url or "").hostname
    listed = (*((linked,) if linked else ()), *spec.app.allowed_hosts)
    every = (*named, *(name for names in served for name in names), *listed)
    return tuple(dict.fromkeys(name.lower() for name in every))


def outside_name(spec: Spec) -> str | None:
    """The host name by which users reach the front; None where the spec does not tell.

    One that the served certificate is for comes first: that which is meant for another server in front of
    this one would be refused here.
    """
    served = spec.certificates[spec.served_certificate] if spec.served_certificate is not None else None
    names = served.names if served is not None and spec.runs_nginx else ()
    public = urlsplit(spec.app.public_url or "").hostname
    own = spec.nginx.server_name if spec.runs_nginx else None
    candidates = [name.lower() for name in (own, public, *names) if name and not name.startswith("*")]
    covered = [name for name in candidates if any(_covers(pattern.lower(), name) for pattern in names)]
    return next(iter(covered if names else candidates), None)


def _covers(pattern: str, name: str) -> bool:
    first, _, rest = name.partition(".")
    return pattern in (name, f"*.{rest}") and bool(first)


def hsts_header(spec: Spec) -> str | None:
    """The value of Strict-Transport-Security; None where it is not sent.

    Without a word in the spec it is sent where browsers will be able to keep to it: a public name, and a
    certificate that is not of this stack's own making. `hsts: false` makes browsers forget it. Never
    `preload`: nobody gets out of that list soon.
    """
    if spec.served_certificate is None:
        return None
    if spec.nginx.hsts is None:
        return f"max-age={_MONTH}" if _is_public_site(spec) else None
    return f"max-age={_TWO_YEARS if spec.nginx.hsts else 0}"


def _is_public_site(spec: Spec) -> bool:
    """Whether nginx serves public names alone, with a certificate that browsers may know."""
    name = spec.served_certificate
    if name is None or not _known_to_browsers(spec.certificates[name]):
        return False
    own = (spec.nginx.server_name,) if spec.nginx.server_name is not None else ()
    names = (*own, *spec.certificates[name].names)
    return bool(names) and all(_is_public(each) for each in names)


def _known_to_browsers(certificate: Certificate) -> bool:
    private_ca = certificate.staging or certificate.ca_file is not None
    return certificate.source == "files" or (certificate.source == "acme" and not private_ca)


def _is_public(name: str) -> bool:
    import ipaddress  # 4 ms that only a front with a certificate pays

    labels = name.lower().rstrip(".").split(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(labels) > 1 and labels[-1] not in _PRIVATE
    return False
