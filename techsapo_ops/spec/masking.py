"""How much is masked of what leaves for the vendors."""

from __future__ import annotations

from techsapo_ops.spec.edition import FIRST, Edition
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import MaskLevel


def mask_level(spec: Spec, edition: Edition) -> MaskLevel:
    """What `spec` says, also by the older `mask_prompts`; where it says nothing, what `edition` has."""
    settings = spec.wallbounce
    if settings.mask is not None:
        return settings.mask
    if settings.mask_prompts:
        return "personal"
    return "secrets" if edition > FIRST else "off"
