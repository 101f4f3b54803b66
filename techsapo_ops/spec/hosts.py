"""The host names under which a stack's app is reached, as far as its spec tells."""

from __future__ import annotations

from urllib.parse import urlsplit

from techsapo_ops.spec.models import Spec

SETTING = "app.allowed_hosts"
"""Where a spec adds names."""


def host_names(spec: Spec) -> tuple[str, ...]:
    """nginx's name, those of the certificates that it serves, and what the spec adds, each once.

    The name in `app.public_url` is one as well: links in messages lead there.
    """
    served = [c.names for c in spec.certificates.values() if c.source != "external"]
    named = (spec.nginx.server_name,) if spec.runs_nginx and spec.nginx.server_name is not None else ()
    linked = urlsplit(spec.app.public_url or "").hostname
    told = (*((linked,) if linked else ()), *spec.app.allowed_hosts)
    found = (*named, *(name for names in served for name in names), *told)
    return tuple(dict.fromkeys(name.lower() for name in found))


def outside_name(spec: Spec) -> str | None:
    """The host name by which users reach the front; None where the spec does not tell.

    One that the served certificate is for comes first: that which is meant for another server in front of
    this one would be refused here.
    """
    served = spec.certificates[spec.served_certificate] if spec.served_certificate is not None else None
    names = served.names if served is not None and spec.runs_nginx else ()
    public = urlsplit(spec.app.public_url or "").hostname
    own = spec.nginx.server_name if spec.runs_nginx else None
    told = [name.lower() for name in (own, public, *names) if name and not name.startswith("*")]
    covered = [name for name in told if any(_covers(pattern.lower(), name) for pattern in names)]
    return next(iter(covered if names else told), None)


def _covers(pattern: str, name: str) -> bool:
    first, _, rest = name.partition(".")
    return pattern in (name, f"*.{rest}") and bool(first)
