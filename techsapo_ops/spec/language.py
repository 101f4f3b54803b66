"""Which language answers are in where nobody asks for one."""

from __future__ import annotations

from typing import Literal

from techsapo_ops.spec.edition import FIRST, Edition
from techsapo_ops.spec.models import Spec

LanguageRule = Literal["locale", "auto", "ja", "en"]
"""The stack's own language, that of what was sent, or always one."""


def language_rule(spec: Spec, edition: Edition) -> LanguageRule:
    """What `spec` says; where it says nothing, what `edition` has."""
    if spec.wallbounce.language is not None:
        return spec.wallbounce.language
    return "locale" if edition > FIRST else "auto"
