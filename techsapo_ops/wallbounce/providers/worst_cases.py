"""The most that calls can cost, for reserving it before anybody is asked. All in USD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.examination.delimiting import size
from techsapo_ops.wallbounce.examination.shown import MAX_SHOWN, shown
from techsapo_ops.wallbounce.providers.asks import Ask, AskRevision, answer_size
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.question import Question

PROMPT_OVERHEAD = 6_000
"""Bytes that instructions and schema add to a prompt, generously."""
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
    """Most that a call with `ask` can cost."""
    return worst_cost(provider, ask.question, ask.shown)


def worst_of_tier(providers: Sequence[Provider], question: Question) -> float:
    """Most that answers of all, and then each grading all others, can cost."""
    answers = sum(worst_cost(p, question) for p in providers)
    if len(providers) < 2:
        return answers
    everything = _longest(providers)  # the peers' answers, and beside them its own
    return answers + sum(worst_cost(p, question, everything) for p in providers)


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
