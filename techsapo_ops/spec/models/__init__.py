"""The spec's model, one file a field of work; `Spec` is the root."""

from techsapo_ops.spec.models.root import ServiceKind, Spec

__all__ = ["ServiceKind", "Spec"]
