"""What trying a provider asks, and what that may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.catalogue.models import End
from techsapo_ops.spec.model_facts import facts_of
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.asks import Ask, AskAnswer, AskGrades
from techsapo_ops.wallbounce.grades import Peer
from techsapo_ops.wallbounce.prompts import answer_prompt, grade_prompt
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.registry import Recipe

QUESTION = Question(
    "This is a test of the connection, no incident. Fill every field as briefly as you can: the answer `ok`, "
    "one claim of three words, no commands, the risk reversible.",
    "en",
)
AT_MOST = 0.01
"""USD that trying one provider may cost, unless somebody says otherwise."""
PEER = Peer("A", "The disk is full.", "The disk is full.", ("The disk is full.",), ("df -h",))
"""What is graded where the grades are tried."""
WANTED = 4_096
"""Tokens of an answer, thinking included, where the bound pays for so many."""
PLAIN = 1_024
"""Those of a model that is known not to think."""
LEAST = 120
"""With fewer tokens the answer is not worth asking for: it would be cut off."""
_BYTES_PER_TOKEN = 2
"""Of our own prompt, which is plain English and JSON: tokenizers take about 4 bytes of it for a token."""
_WRAPPING = 400
"""Tokens that a vendor may add to make the model keep to the schema."""

GRADING = AskGrades(QUESTION, (PEER,))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider to be tried, and what that may cost in USD at most.

    `end` is that of its model by the catalogue, `limit` the longest wait for one call in seconds.
    """

    recipe: Recipe
    at_most: float
    end: End | None = None
    limit: float = math.inf

    @property
    def name(self) -> str:
        """The provider's name in the spec."""
        return self.recipe.name

    @property
    def longest(self) -> int:
        """Tokens of an answer that the spec allows."""
        return self.recipe.make().max_output_tokens

    @property
    def worst(self) -> float:
        """USD that it costs at most."""
        return min(self.whole, self.at_most) if self.asked else 0.0

    @property
    def asked(self) -> bool:
        """Whether the bound pays for an answer."""
        return self.room(self.at_most, sent(AskAnswer(QUESTION))) >= LEAST

    @property
    def wanted(self) -> int:
        """Tokens that it is given for an answer where the bound pays for so many."""
        section = self.recipe.section
        facts = facts_of(section) if isinstance(section, ModelProvider) else None
        return PLAIN if facts is not None and not facts.thinks else WANTED

    def room(self, usd_left: float, read: int) -> int:
        """Tokens of an answer that `usd_left` pays for, once `read` tokens are sent; `wanted` at most."""
        price = self.recipe.price
        left = usd_left - price.cost(Tokens(read))
        each = price.cost(Tokens(read, 1_000)) - price.cost(Tokens(read))
        if left < 0:
            return 0
        return self.wanted if each <= 0 else min(self.wanted, int(left / each * 1_000))

    @property
    def whole(self) -> float:
        """USD that every question costs at most."""
        output = min(self.wanted, self.longest)
        return sum(
            self.recipe.price.cost(Tokens(sent(ask), output)) for ask in (AskAnswer(QUESTION), GRADING)
        )


def sent(ask: Ask) -> int:
    """Tokens that asking takes at most."""
    return size_of(ask) // _BYTES_PER_TOKEN + _WRAPPING


def size_of(ask: Ask) -> int:
    """Bytes that asking takes, for which an adapter takes the tokens where the vendor counts none."""
    prompt = (
        grade_prompt(ask.question, ask.peers, ask.own)
        if isinstance(ask, AskGrades)
        else answer_prompt(ask.question)
    )
    return len(f"{prompt.system}{prompt.user}".encode()) + len(dump(prompt.schema))


def rounded_up(amount: float) -> str:
    """`amount` in USD as somebody would write it, not less."""
    places = max(2, 1 - math.floor(math.log10(amount))) if amount > 0 else 2
    up = f"{math.ceil(round(amount * 10**places, 6)) / 10**places:.{places}f}"
    return up[:-1] if places > 2 and up.endswith("0") else up


def usd(amount: float) -> str:
    """`amount`, not less, with as many places as it takes to see something of it."""
    return f"${rounded_up(amount)}"
