"""Asks one provider one small question, to know before it is relied on that it answers, and how.

What is asked is what an analysis asks: the same call, prompt and schema. It costs money, so that the call is
given only as many tokens as its bound pays for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Literal

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.catalogue.vendors import WARNED_DAYS, End
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.providers import facts_of
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.examination.prompts import answer_prompt
from techsapo_ops.wallbounce.providers.failures import Cause, ProviderError, advice
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import AskAnswer, Price
from techsapo_ops.wallbounce.providers.reading import NO_LIST
from techsapo_ops.wallbounce.providers.registry import Recipe, listed_model
from techsapo_ops.wallbounce.question import Question

CheckName = Literal["list", "answer", "schema"]

QUESTION = Question(
    "This is a test of the connection, no incident. Fill every field as briefly as you can: the answer `ok`, "
    "one claim of three words, no commands, the risk reversible.",
    "en",
)
AT_MOST = 0.01
"""USD that trying one provider may cost, unless somebody says otherwise."""
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
_HOPELESS = frozenset({Cause.KEY, Cause.UNREACHABLE, Cause.REGION})
"""Causes for which, where the list of models fails with them, no answer need be asked for."""


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """Not tried, and that is no fault."""
    WARNING = "warning"
    FAILED = "failed"


_WORST_LAST = (Outcome.SKIPPED, Outcome.OK, Outcome.WARNING, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried. `detail` may hold a vendor's words, `remedy` says what to do."""

    name: CheckName
    outcome: Outcome
    detail: str
    remedy: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of trying a provider. `seconds` is the time that its answer took."""

    name: str
    kind: str
    model: str
    checks: tuple[Check, ...]
    price: Price | None = None
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float = 0.0
    seconds: float | None = None
    end: date | None = None
    """When its model ends, by the vendor's list or else by the catalogue."""

    @property
    def outcome(self) -> Outcome:
        """The worst of its checks; skipped where no answer was asked for, which says nothing of it."""
        if any(check.name == "answer" and check.outcome is Outcome.SKIPPED for check in self.checks):
            return Outcome.SKIPPED
        return max((check.outcome for check in self.checks), key=_WORST_LAST.index, default=Outcome.SKIPPED)

    @property
    def answered(self) -> bool:
        """Whether it answered, whatever else was the matter."""
        return any(check.name == "answer" and check.outcome is Outcome.OK for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The last check with that outcome."""
        return next((check for check in reversed(self.checks) if check.outcome is self.outcome), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider to be tried, and what that may cost in USD. `end` is its model's by the catalogue."""

    recipe: Recipe
    at_most: float
    end: End | None = None

    @property
    def name(self) -> str:
        """The provider's name in the spec."""
        return self.recipe.name

    @property
    def wanted(self) -> int:
        """Tokens that it is given for an answer where the bound pays for so many."""
        section = self.recipe.section
        facts = facts_of(section) if isinstance(section, ModelProvider) else None
        usual = PLAIN if facts is not None and not facts.thinks else WANTED
        longest: int = section.max_output_tokens
        return min(usual, longest)

    @property
    def tokens(self) -> int:
        """Tokens of an answer that the bound pays for, `wanted` at most."""
        price, read = self.recipe.price, _sent()
        left = self.at_most - price.cost(Tokens(read))
        each = price.cost(Tokens(read, 1_000)) - price.cost(Tokens(read))
        if left < 0:
            return 0
        return self.wanted if each <= 0 else min(self.wanted, int(left / each * 1_000))

    @property
    def asked(self) -> bool:
        """Whether the bound pays for an answer."""
        return self.tokens >= min(LEAST, self.wanted)

    @property
    def worst(self) -> float:
        """USD that it costs at most."""
        return min(self.whole, self.at_most) if self.asked else 0.0

    @property
    def whole(self) -> float:
        """USD that an answer of the `wanted` length costs at most."""
        return self.recipe.price.cost(Tokens(_sent(), self.wanted))

    @property
    def enough(self) -> str:
        """The command that pays for such an answer."""
        return f"techsapo providers test {self.name} --at-most {rounded_up(self.whole)}"


async def try_provider(candidate: Candidate, today: date) -> Tried:
    """Try `candidate`. What it says, fails with or keeps back is in the result; it raises nothing.

    `today` says whether a model's end is near.
    """
    recipe = candidate.recipe
    listed, end = await _listed(candidate, today)
    tried = Tried(recipe.name, recipe.section.kind, recipe.section.model, (listed,), recipe.price, end=end)
    return tried if listed.outcome is Outcome.FAILED else await _answered(candidate, tried)


async def _listed(candidate: Candidate, today: date) -> tuple[Check, date | None]:
    """What the vendor's list says, and the end of the model as known then."""
    section, known = candidate.recipe.section, candidate.end
    end = known.retires if known is not None else None
    listed, unread = NO_LIST, msg("the provider's list of models is not read")
    try:
        listed = await listed_model(candidate.name, section)
    except ProviderError as error:
        if error.cause in _HOPELESS:
            return _failed("list", error), end
        unread = msg("the provider's list of models can't be read: {message}", message=error.message)
    if listed.tells_ends:
        end = listed.retires
    if listed.exists is False:
        others = msg(", which has {others}", others=", ".join(listed.others)) if listed.others else ""
        missing = msg("{model} is not in the vendor's list{others}", model=section.model, others=others)
        return Check("list", Outcome.WARNING, missing, advice(Cause.MODEL).do), end
    if end is not None and (end - today).days <= WARNED_DAYS:
        ends = (
            msg("{model} was retired on {end}", model=section.model, end=end)
            if end <= today
            else msg("{model} is retired on {end}", model=section.model, end=end)
        )
        remedy = (
            msg("the vendor recommends {successor}", successor=known.replacement)
            if known is not None and known.replacement
            else msg("choose a current model")
        )
        return Check("list", Outcome.WARNING, ends, remedy), end
    if listed.exists is None:
        return Check("list", Outcome.SKIPPED, unread), end
    until = msg("; it is available until {end}", end=end) if end is not None else ""
    there = msg("{model} is in the vendor's list{until}", model=section.model, until=until)
    return Check("list", Outcome.OK, there), end


async def _answered(candidate: Candidate, tried: Tried) -> Tried:
    """`tried` with what it answers, as an analysis would ask it, but once."""
    if not candidate.asked:
        why = msg(
            "not asked: the call could cost more than this test's limit of {usd}", usd=usd(candidate.at_most)
        )
        pays = msg("`{enough}` covers the cost", enough=candidate.enough)
        return replace(tried, checks=(*tried.checks, Check("answer", Outcome.SKIPPED, why, pays)))
    provider = candidate.recipe.make(max_output_tokens=candidate.tokens, attempts=1)
    try:
        reply = await Guarded(provider).call(AskAnswer(QUESTION))
    except ProviderError as error:
        cost = _cost(candidate, error.cost_usd, error.tokens)
        return replace(tried, checks=(*tried.checks, _unanswered(candidate, error)), cost_usd=cost)
    finally:
        in_words = getattr(provider, "in_words", False)
        await provider.close()
    answered = Check("answer", Outcome.OK, msg("answered in {seconds:.1f} s", seconds=reply.seconds))
    if not (isinstance(reply, Answer) and reply.structured):
        plain = msg("the model answers in plain text, without claims, commands and risk")
        schema = Check("schema", Outcome.WARNING, plain, advice(Cause.SCHEMA).do)
    elif in_words:
        turned = msg("the model rejects the schema, but follows it when the prompt describes it")
        schema = Check("schema", Outcome.OK, turned)
    else:
        schema = Check("schema", Outcome.OK, msg("the model follows the schema of an answer"))
    return replace(
        tried,
        checks=(*tried.checks, answered, schema),
        tokens=reply.tokens,
        cost_usd=_cost(candidate, reply.cost_usd, reply.tokens),
        seconds=reply.seconds,
    )


def _unanswered(candidate: Candidate, error: ProviderError) -> Check:
    if error.cause is not Cause.CUT_OFF or candidate.tokens >= candidate.recipe.section.max_output_tokens:
        return _failed("answer", error)
    used = msg(
        "the {longest} tokens of this test were used up before the answer was complete",
        longest=candidate.tokens,
    )
    if candidate.tokens < candidate.wanted:
        pays = msg("`{enough}` covers the cost", enough=candidate.enough)
        remedy = msg("{pays}; or lower the provider's effort", pays=pays)
    else:
        remedy = msg("lower the provider's effort, or choose a model that finishes its answer")
    return Check("answer", Outcome.FAILED, used, remedy, error.cause)


def _failed(name: CheckName, error: ProviderError) -> Check:
    # A vendor's own words may say nothing to whoever does not know its API.
    what = msg("{what}: ", what=advice(error.cause).what) if error.message.startswith("HTTP ") else ""
    return Check(name, Outcome.FAILED, f"{what}{error.message}", advice(error.cause).do, error.cause)


def _cost(candidate: Candidate, cost_usd: float, tokens: Tokens) -> float:
    """USD of a call. Where the vendor counted nothing, a token a byte was assumed: the bound is closer."""
    return cost_usd if tokens.input not in {0, _size()} else min(cost_usd, candidate.worst)


@cache
def _size() -> int:
    """Bytes that asking takes."""
    prompt = answer_prompt(QUESTION)
    return len(f"{prompt.system}{prompt.user}".encode()) + len(dump(prompt.schema))


def _sent() -> int:
    """Tokens that asking takes at most."""
    return _size() // _BYTES_PER_TOKEN + _WRAPPING


def rounded_up(amount: float) -> str:
    """`amount` in USD as somebody would write it, not less."""
    places = max(2, 1 - math.floor(math.log10(amount))) if amount > 0 else 2
    up = f"{math.ceil(round(amount * 10**places, 6)) / 10**places:.{places}f}"
    return up[:-1] if places > 2 and up.endswith("0") else up


def usd(amount: float) -> str:
    """`amount`, not less, with as many places as it takes to see something of it."""
    return f"${rounded_up(amount)}"
