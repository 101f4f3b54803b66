"""How much is masked of what leaves for the vendors."""

from __future__ import annotations

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import MaskLevel


def mask_level(spec: Spec) -> MaskLevel:
    """What `spec` says, also by the older `mask_prompts`."""
    settings = spec.wallbounce
    if settings.mask is not None:
        return settings.mask
    if settings.mask_prompts:
        return "personal"
    return "off"
