"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from techsapo_ops.masking.masker import Masker
from techsapo_ops.wallbounce.language import Language


class Passage(NamedTuple):
    """A part of a question: material such as a log by its `name`, or, without one, what is asked of it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt of several parts, so that what is asked and what it is asked about stay apart."""

    parts: tuple[Passage, ...]

    def __str__(self) -> str:
        """All of it as one text, to read and to write down. Nothing is sent so."""
        return "\n\n".join(f"<{p.name}>\n{p.text}\n</{p.name}>" if p.name else p.text for p in self.parts)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer.

    `masker` has taken secrets out of `text` already, and takes them out of all else that is sent.
    """

    text: str
    language: Language
    request_id: str = ""
    masker: Masker = field(default_factory=lambda: Masker("off"), compare=False, repr=False)
    parts: tuple[Passage, ...] = ()
    """The same in parts, where it came in several. Without, all of it is what the user asks."""
