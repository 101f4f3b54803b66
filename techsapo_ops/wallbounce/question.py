"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.wallbounce.language import Language


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer."""

    text: str
    language: Language
    request_id: str = ""
