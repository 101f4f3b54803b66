"""Which servers of the stack's own speak TLS to their clients in it."""

from __future__ import annotations

from techsapo_ops.spec.models import Spec


def speaks_tls(spec: Spec, kind: str) -> bool:
    """Whether the spec's section for a kind of service says `tls: true`; for one without such a field, no."""
    return getattr(getattr(spec, kind, None), "tls", False) is True
