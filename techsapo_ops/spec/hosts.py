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
