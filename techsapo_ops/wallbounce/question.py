"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from techsapo_ops.wallbounce.language import Language
from techsapo_ops.wallbounce.masking import Masker


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer.

    `masker` has taken secrets out of `text` already, and takes them out of all else that is sent.
    """

    text: str
    language: Language
    request_id: str = ""
    masker: Masker = field(default_factory=lambda: Masker("off"), compare=False, repr=False)
