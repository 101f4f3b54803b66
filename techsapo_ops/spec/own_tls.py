"""Which servers of the stack's own speak TLS to their clients in it."""

from __future__ import annotations

from techsapo_ops.spec.models import Spec

_OF = {"sentinel": "redis"}


def certificate_of(kind: str) -> str:
    """The kind whose certificate a server of `kind` shows: its own, or that of what it stands beside."""
    return _OF.get(kind, kind)


def speaks_tls(spec: Spec, kind: str) -> bool:
    """Whether the spec's section for a kind of service says `tls: true`; for one without such a field, no."""
    return getattr(getattr(spec, certificate_of(kind), None), "tls", False) is True
