"""One provider's answer to a question."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_CLAIMS = 8
"""Most atomic claims that one answer can make."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider counted them: all that it read, and all that it wrote.

    `cached` is the part of `input` that it had in its cache, `cache_written` the part that it put there.
    `thinking` is the part of `output` that is billed and not shown.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    thinking: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.thinking + other.thinking,
        )


class Risk(StrEnum):
    """What following an answer's commands can do."""

    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Answer:
    """One provider's answer.

    `self_confidence` (0 to 1) is what the provider says of itself, None where it says nothing.
    `seconds` is the time the call took; `cost_usd` what it cost at the provider's price.
    `claims` (at most MAX_CLAIMS), `root_cause`, `commands` and `risk` are there only where the provider kept
    to the schema (`structured`); a plain answer has empty ones and a `risk` of None, which is unknown, not
    harmless. `risk` is the provider's own word.
    """

    provider: str
    model: str
    text: str
    tokens: Tokens
    seconds: float
    cost_usd: float
    self_confidence: float | None = None
    claims: tuple[str, ...] = ()
    root_cause: str = ""
    commands: tuple[str, ...] = ()
    risk: Risk | None = None
    structured: bool = False
