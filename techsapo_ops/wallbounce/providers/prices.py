"""What a model's tokens cost, and the most that calls can cost, which is reserved before anybody is asked.

A price is the spec's, else the vendors' list price, else that of the catalogue of models. List prices come
from the pinned `genai-prices` package, offline. It takes a third of a second to import, so that it is
imported only for a provider whose price the spec does not give. One of its calculations takes .2 to .5 ms: it
is asked for a model's rates, once a minute at most, and the arithmetic is our own. All in USD.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from techsapo_ops.adapters.delimiting import size
from techsapo_ops.catalogue.vendors import bare, model_of
from techsapo_ops.spec.models.providers import Price as PriceSpec
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.examination.shown import MAX_SHOWN, shown
from techsapo_ops.wallbounce.providers.provider import (
    Ask,
    AskForm,
    AskRevision,
    Price,
    Provider,
    Rates,
    answer_size,
)
from techsapo_ops.wallbounce.question import Question

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class ListPrice(Price):
    """The vendor's price of now: some change on a day, or with the hour.

    The fields are those of the moment at which it was looked up.
    """

    vendor: str = ""
    model: str = ""

    def cost(self, tokens: Tokens) -> float:
        """USD for `tokens` at the vendor's list price of now."""
        return self._now().cost(tokens)

    def most(self, read: int, written: int) -> float:
        """Most USD that a call can cost at the vendor's list price of now."""
        return self._now().most(read, written)

    def _now(self) -> Price:
        return _price_of(self.vendor, self.model, int(time.time() // _MINUTE))


def list_price(vendor: str, model: str) -> ListPrice | None:
    """The list price of `model` at `vendor` (a kind of provider in the spec), or None where unknown.

    A variant (`vendor/model:nitro`) has its model's: it is for reserving, as OpenRouter bills each call.
    """
    try:
        now = _price_of(vendor, model, int(time.time() // _MINUTE))
    except LookupError:
        name, variant, _ = model.partition(":")
        return list_price(vendor, name) if variant and "/" in name else None
    return ListPrice(**{f.name: getattr(now, f.name) for f in fields(now)}, vendor=vendor, model=model)


def priced(section: PriceSpec) -> Price:
    """The price that the spec gives."""
    return Price(section.input, section.output, section.cached_input, section.cache_write)


@lru_cache(maxsize=64)
def _price_of(vendor: str, model: str, minute: int) -> Price:
    """The price of that minute, by the package, else by our own catalogue. Raises LookupError."""
    try:
        return _packaged(vendor, model, datetime.fromtimestamp(minute * _MINUTE, UTC))
    except LookupError:
        facts = model_of(vendor, model)
        if facts is None or (known := facts.price) is None:
            raise
    source = f"catalogue, {known.source.read}"
    return Price(known.input, known.output, known.cached, known.cache_write, source=source)


def _packaged(vendor: str, model: str, moment: datetime) -> Price:
    import genai_prices

    listed = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=1),
        bare(vendor, model),
        provider_id=vendor,
        genai_request_timestamp=moment,
    ).model_price
    priced = (
        listed.input_mtok,
        listed.output_mtok,
        listed.cache_read_mtok,
        listed.cache_write_mtok,
    )
    steps = sorted({0} | {tier.start for price in priced for tier in getattr(price, "tiers", ())})
    short, *dearer = (_rates(priced, above) for above in steps)
    source = f"genai-prices {genai_prices.__version__}"
    return Price(
        short.input, short.output, short.cached, short.cache_write, source=source, dearer=tuple(dearer)
    )


def _rates(priced: Iterable[Any], above: int) -> Rates:
    """The rates of a call with more than `above` tokens of input; `priced` as the package has them."""
    read, written, cached, cache_write = (_rate(price, above) for price in priced)
    return Rates(read or 0.0, written or 0.0, cached, cache_write, above)


def _rate(price: Any, above: int) -> float | None:
    if price is None:
        return None
    reached = [tier.price for tier in getattr(price, "tiers", ()) if tier.start <= above]
    return float(reached[-1] if reached else getattr(price, "base", price))


PROMPT_OVERHEAD = 6_000
"""Bytes that instructions and schema add to a prompt, generously."""
FRAME = 1_000
"""Tokens that a vendor may count beside what is sent: roles, and its own words about the schema."""
BYTES_PER_TOKEN = 8
"""Bytes that one output token stands for when it is shown to others; Japanese has about 3, long words 6.

It matters for short answers alone: of longer ones others are shown MAX_SHOWN bytes.
"""


def worst_cost(provider: Provider, question: Question, shown: int = 0) -> float:
    """Most that one call about `question` can cost.

    A token per UTF-8 byte, which no tokenizer exceeds, and the longest answer. `shown` is the number of bytes
    that are sent beside the question: the peers' answers in grading, the critiques in a revision.
    """
    sent = size(question.text) + shown + PROMPT_OVERHEAD
    return provider.price.most(sent, provider.max_output_tokens)


def worst_of_ask(provider: Provider, ask: Ask) -> float:
    """Most that a call with `ask` can cost; of a form all that is sent is known."""
    if isinstance(ask, AskForm):
        longest = min(ask.prompt.longest, provider.max_output_tokens)
        return provider.price.most(ask.prompt.size + FRAME, longest)
    return worst_cost(provider, ask.question, ask.shown)


def worst_of_tier(providers: Sequence[Provider], question: Question) -> float:
    """Most that answers of all, and then each grading all others, can cost."""
    answers = sum(worst_cost(p, question) for p in providers)
    if len(providers) < 2:
        return answers
    everything = _longest(providers)  # the peers' answers, and beside them its own
    return answers + sum(worst_cost(p, question, everything) for p in providers)


def worst_of_cascade(
    by_price: Sequence[Provider], order: Sequence[Provider], size: int, question: Question
) -> float:
    """Most that the cheapest's answer, a check and then a panel of `size` can cost; `order` is the spec's."""
    first, checker = by_price[0], by_price[:2][-1]
    panel = [first, *(p for p in order if p is not first)][:size]
    return worst_of_tier(panel, question) + worst_cost(checker, question, _longest([first]))


def worst_of_round(authors: Sequence[Provider], revisions: Mapping[int, AskRevision]) -> float:
    """Most that a round of bounces can cost: `revisions`, by index of the author, then all grading them."""
    revising = sum(worst_of_ask(authors[i], shown(ask)) for i, ask in revisions.items())
    question = next(iter(revisions.values())).question
    revised = _longest([authors[i] for i in revisions])
    return revising + sum(worst_cost(p, question, revised + _longest([p])) for p in authors)


def worst_of_escalation(
    authors: Sequence[Provider], answers: Sequence[Answer], joining: Sequence[Provider], question: Question
) -> float:
    """Most that blind providers can cost: their answers, and the gradings that become due."""
    seen = sum(min(answer_size(a), MAX_SHOWN) for a in answers) + _longest(joining)
    answering = sum(worst_cost(p, question) for p in joining)
    return answering + sum(worst_cost(p, question, seen) for p in (*authors, *joining))


def _longest(providers: Sequence[Provider]) -> int:
    """Most bytes of an answer of each that others are shown; how much was thought for it does not matter."""
    return sum(min(p.max_output_tokens * BYTES_PER_TOKEN, MAX_SHOWN) for p in providers)
