"""The host names under which a stack's app is reached, as far as its spec tells."""

from __future__ import annotations

from techsapo_ops.spec.models import Spec

SETTING = "app.allowed_hosts"
"""Where a spec adds names."""


def host_names(spec: Spec) -> tuple[str, ...]:
    """nginx's name, those of the certificates that it serves, and what the spec adds, each once."""
    served = [c.names for c in spec.certificates.values() if c.source != "external"]
    named = (spec.nginx.server_name,) if spec.runs_nginx and spec.nginx.server_name is not None else ()
    found = (*named, *(name for names in served for name in names), *spec.app.allowed_hosts)
    return tuple(dict.fromkeys(name.lower() for name in found))
