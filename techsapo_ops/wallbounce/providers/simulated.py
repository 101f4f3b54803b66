"""A provider that needs no vendor: answers, latency, errors and prices come from a seed."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, log, sqrt

import yaml

from techsapo_ops.spec.models.app import SimulatedProvider
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.model import Answer, FailureKind, Language, ProviderError, Question, Tokens
from techsapo_ops.wallbounce.provider import Price

MARK: Mapping[Language, str] = {"ja": "（シミュレーション）", "en": "(simulated) "}
RETRY_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that simulated providers know; `match` holds folded words of a question."""

    match: tuple[str, ...]
    text: Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """simulated.yaml."""

    topics: tuple[Topic, ...]
    openings: Mapping[Language, tuple[str, ...]]
    closings: Mapping[Language, tuple[str, ...]]

    def right(self, folded: str) -> int:
        """Index of the topic that answers a folded question; the last one fits everything."""
        for index, topic in enumerate(self.topics):
            if any(word in folded for word in topic.match):
                return index
        return len(self.topics) - 1


@cache
def knowledge() -> Knowledge:
    """The content of simulated.yaml."""
    text = (files("techsapo_ops.wallbounce.providers") / "simulated.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    topics = tuple(
        Topic(tuple(_fold(word) for word in t["match"]), {"ja": t["ja"], "en": t["en"]})
        for t in raw["topics"].values()
    )
    return Knowledge(topics, raw["openings"], raw["closings"])


class Simulated:
    """Answers from a seed; the same seed and question always give the same answer, latency and failure."""

    kind = "simulated"
    max_output_tokens = 1024

    def __init__(self, name: str, spec: SimulatedProvider) -> None:
        self.name = name
        self.model = f"simulated-{spec.seed}"
        self.timeout = seconds(spec.timeout)
        self.price = Price(spec.price.input, spec.price.output) if spec.price else Price(0.0, 0.0)
        self._spec = spec
        self._mean = seconds(spec.latency.mean)
        self._known = knowledge()  # read now, so that the first question does not wait for it

    async def answer(self, question: Question) -> Answer:
        """Wait for the drawn latency, then answer or fail as drawn. See Provider.answer."""
        started = time.perf_counter()
        own = _random(f"{self._spec.seed}", question.text)
        latency = self._latency(own)
        luck = own.random()
        if luck < self._spec.rate_limit_rate:
            raise ProviderError(
                FailureKind.RATE_LIMITED, "simulated: too many requests", retry_after=RETRY_AFTER
            )
        await asyncio.sleep(latency)
        if luck < self._spec.rate_limit_rate + self._spec.error_rate:
            raise ProviderError(FailureKind.UNAVAILABLE, "simulated: the provider is down")
        topic, sure = self._draw(own, question)
        text = self._words(own, topic, question.language)
        tokens = Tokens(len(question.text) + 120, len(text))
        return Answer(
            provider=self.name,
            model=self.model,
            text=text,
            tokens=tokens,
            seconds=time.perf_counter() - started,
            cost_usd=self.price.cost(tokens),
            self_confidence=sure,
        )

    async def close(self) -> None:
        """Nothing to give back."""

    def _latency(self, own: random.Random) -> float:
        """A log-normal draw in seconds with the spec's mean and relative standard deviation."""
        variance = log(1 + self._spec.latency.jitter**2)
        drawn = exp(own.gauss(0.0, sqrt(variance)) - variance / 2)
        return self._mean * drawn

    def _draw(self, own: random.Random, question: Question) -> tuple[int, float]:
        """Index of the topic that is answered, and how sure the provider says it is.

        With probability `correlation` right or wrong comes from a draw that all providers share; with
        probability `same_wrong` a wrong answer is the one that all of them would give.
        """
        shared = _random("shared", question.text)
        common_luck, common_wrong = shared.random(), shared.random()
        luck = common_luck if own.random() < self._spec.correlation else own.random()
        right = self._known.right(_fold(question.text))
        same, other = own.random() < self._spec.same_wrong, own.random()
        if luck < self._spec.accuracy:
            return right, round(own.uniform(0.84, 0.97), 2)
        others = [i for i in range(len(self._known.topics)) if i != right]
        return others[int((common_wrong if same else other) * len(others))], round(own.uniform(0.6, 0.9), 2)

    def _words(self, own: random.Random, topic: int, language: Language) -> str:
        known = self._known
        opening = own.choice(known.openings[language])
        closing = own.choice(known.closings[language])
        return f"{MARK[language]}{opening}{known.topics[topic].text[language]}{closing}"


def _random(salt: str, text: str) -> random.Random:
    digest = hashlib.sha256(f"{salt}\0{text}".encode(errors="surrogatepass")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))  # noqa: S311 - a simulation, not a secret


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
