"""A provider that needs no vendor: answers, grades, latency, errors and prices come from a seed.

It knows which topic answers a question and errs at the rates of its spec. Its stance to a peer's claims
follows from its own answer: the same topic entails them, another contradicts the root cause and is silent on
the rest. Its scores follow from whether the peer is right, seen through its Habits. When it revises, it
weighs each cause that the critiques name in the same way and takes the first that it believes.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, log, sqrt
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.providers import SimulatedProvider
from techsapo_ops.wallbounce.answers import (
    MAX_CLAIMS,
    Answer,
    ClaimGrade,
    Critique,
    Grade,
    Grades,
    Peer,
    Risk,
    Score,
    Stance,
    Tokens,
)
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import (
    SIMULATED,
    Ask,
    AskAnswer,
    AskForm,
    AskGrades,
    AskRevision,
    Price,
    Reply,
)
from techsapo_ops.wallbounce.providers.simulated_findings import findings
from techsapo_ops.wallbounce.question import Language, Question, fold

MARK: Mapping[Language, str] = {"ja": "（シミュレーション）", "en": "(simulated) "}
RETRY_AFTER = 2.0
FREE = Price(0.0, 0.0)


_SENTENCE = re.compile(r"[^。]+。|.+?[.](?=\s|$)")
_COMMAND = re.compile(r"「([a-z][^」]*)」|`([^`]+)`")


@cache
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(s.strip() for s in _SENTENCE.findall(text))[:MAX_CLAIMS]


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that simulated providers know; `match` holds folded words of a question."""

    match: tuple[str, ...]
    text: Mapping[Language, str]

    def claims(self, language: Language) -> tuple[str, ...]:
        """Its sentences; the first is the root cause."""
        return _sentences(self.text[language])

    def commands(self, language: Language) -> tuple[str, ...]:
        """The commands that it quotes."""
        return tuple(ja or en for ja, en in _COMMAND.findall(self.text[language]))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """simulated.yaml."""

    topics: tuple[Topic, ...]
    openings: Mapping[Language, tuple[str, ...]]
    closings: Mapping[Language, tuple[str, ...]]

    def right(self, question: str) -> int:
        """Index of the topic that answers a question; the last one fits everything."""
        return _right(question)


@lru_cache(maxsize=64)
def _right(question: str) -> int:
    folded, topics = fold(question).casefold(), knowledge().topics
    fitting = (index for index, topic in enumerate(topics) if any(word in folded for word in topic.match))
    return next(fitting, len(topics) - 1)


@cache
def knowledge() -> Knowledge:
    """The content of simulated.yaml."""
    raw = packaged_yaml("simulated.yaml", "techsapo_ops.wallbounce.providers")
    topics = tuple(
        Topic(tuple(fold(word).casefold() for word in t["match"]), {"ja": t["ja"], "en": t["en"]})
        for t in raw["topics"].values()
    )
    return Knowledge(topics, raw["openings"], raw["closings"])


@dataclass(frozen=True, slots=True)
class Habits:
    """How providers err together, and how well they judge each other, as shares from 0 to 1."""

    correlation: float = 0.2
    """How often one errs on the same questions as the others."""
    same_wrong: float = 0.3
    """Share of wrong answers that repeat the others' wrong answer."""
    true_positive: float = 0.85
    """Share of right answers of others that it grades as right."""
    false_positive: float = 0.15
    """Share of wrong answers of others that it grades as right."""


USUAL = Habits()
JITTER = 0.3
"""Standard deviation of the latency, as a share of its mean."""


class Simulated:
    """Answers from a seed; the same seed and question always give the same answer, latency and failure."""

    kind = SIMULATED
    max_output_tokens = 1024
    attempts = 1

    def __init__(
        self, name: str, spec: SimulatedProvider, price: Price = FREE, habits: Habits = USUAL
    ) -> None:
        self.name = name
        self.model = f"simulated-{spec.seed}"
        self.timeout = seconds(spec.timeout)
        self.price = price
        self._spec = spec
        self._habits = habits
        self._mean = seconds(spec.latency)
        self._known = knowledge()  # read now, so that the first question does not wait for it
        self._causes = [[t.claims(language)[0] for language in t.text] for t in self._known.topics]

    @classmethod
    def lacks(cls, _name: str, _spec: Any) -> str | None:
        """It can always be called."""
        return None

    @classmethod
    def usual_price(cls, _spec: Any) -> Price:
        """Nothing is paid."""
        return FREE

    async def call(self, ask: Ask) -> Reply:
        """Wait for the drawn latency, then reply or fail as drawn."""
        match ask:
            case AskForm(question=question):
                return await self._form(question)
            case AskAnswer(question=question):
                return await self._answer(question)
            case AskGrades(question=question, peers=peers, own=measure):
                return await self._grades(question, peers, measure)
            case AskRevision(question=question, own=own, critiques=critiques):
                return await self._revision(question, own, critiques)

    async def _answer(self, question: Question) -> Answer:
        started = time.perf_counter()
        own = _random(f"{self._spec.seed}", question.text)
        await self._work(own)
        topic, sure = self._draw(own, question)
        tokens = len(question.text) + 120
        return self._answered(own, question, topic, sure, tokens, started)

    async def _form(self, question: Question) -> Answer:
        """A form about evidence, filled in without any thought."""
        started = time.perf_counter()
        await self._work(_random(f"form {self._spec.seed}", question.text))
        text = findings(question.text, MARK[question.language])
        tokens = Tokens(len(question.text) + 120, len(text))
        taken, cost = time.perf_counter() - started, self.price.cost(tokens)
        return Answer(self.name, self.model, text, tokens, taken, cost)

    async def _grades(self, question: Question, peers: Sequence[Peer], own: Answer | None) -> Grades:
        """Grades as drawn, for each peer from seed, question and what it says."""
        started = time.perf_counter()
        await self._work(_random(f"grading {self._spec.seed}", question.text))
        view = self._topic_of(own.text) if own is not None else None
        if view is None:
            view = self._view(question)
        grades = tuple(self._grade(question, peer, view) for peer in peers)
        sent = len(question.text) + sum(len(p.text) + sum(map(len, p.claims)) for p in peers) + 120
        tokens = Tokens(sent, sum(60 + 30 * len(p.claims) for p in peers))
        taken = time.perf_counter() - started
        return Grades(self.name, self.model, grades, tokens, taken, self.price.cost(tokens))

    async def _revision(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        """The own answer, or one with a cause that a critique names."""
        started = time.perf_counter()
        held = "\0".join(critique.objection for critique in critiques)
        drawn = _random(f"revising {self._spec.seed}", f"{question.text}\0{held}")
        await self._work(drawn)
        before = self._topic_of(own.text)
        topic = before if before is not None else self._view(question)
        for critique in critiques:
            named = self._topic_of(critique.objection)
            if named is not None and named != topic and self._believes(drawn, question, named):
                topic = named
                break
        sent = len(question.text) + len(own.text) + len(held) + 120
        return self._answered(drawn, question, topic, round(drawn.uniform(0.8, 0.95), 2), sent, started)

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def _work(self, own: random.Random) -> None:
        """Take the drawn time, or fail as drawn."""
        latency = self._latency(own)
        luck = own.random()
        if luck < self._spec.rate_limit_rate:
            raise ProviderError(
                FailureKind.RATE_LIMITED, msg("simulated: too many requests"), retry_after=RETRY_AFTER
            )
        await asyncio.sleep(latency)
        if luck < self._spec.rate_limit_rate + self._spec.error_rate:
            raise ProviderError(FailureKind.UNAVAILABLE, msg("simulated: the provider is down"))

    def _answered(
        self, own: random.Random, question: Question, topic: int, sure: float, sent: int, started: float
    ) -> Answer:
        language = question.language
        known = self._known.topics[topic]
        text = self._words(own, topic, language)
        tokens = Tokens(sent, len(text))
        claims = known.claims(language)
        return Answer(
            provider=self.name,
            model=self.model,
            text=text,
            tokens=tokens,
            seconds=time.perf_counter() - started,
            cost_usd=self.price.cost(tokens),
            self_confidence=sure,
            claims=claims,
            root_cause=claims[0],
            commands=known.commands(language),
            risk=Risk.REVERSIBLE,
            structured=True,
        )

    def _view(self, question: Question) -> int:
        """The topic that it answers, or would answer, this question with."""
        own = _random(f"{self._spec.seed}", question.text)
        self._latency(own)
        own.random()
        return self._draw(own, question)[0]

    def _topic_of(self, text: str) -> int | None:
        """Index of the topic whose root cause stands in `text`, in either language."""
        for index, causes in enumerate(self._causes):
            if any(cause in text for cause in causes):
                return index
        return None

    def _believes(self, own: random.Random, question: Question, topic: int | None) -> bool:
        right = topic == self._known.right(question.text)
        rate = self._habits.true_positive if right else self._habits.false_positive
        return own.random() < rate

    def _grade(self, question: Question, peer: Peer, view: int) -> Grade:
        own = _random(f"grade {self._spec.seed}", f"{question.text}\0{peer.text}")
        theirs = self._topic_of(peer.text)
        good = self._believes(own, question, theirs)
        cause = self._known.topics[view].claims(question.language)[0]
        if theirs == view:
            claims = tuple(ClaimGrade(Stance.ENTAILS, cause) for _ in peer.claims)
        else:
            claims = tuple(
                ClaimGrade(Stance.SILENT if n else Stance.CONTRADICTS, "" if n else cause)
                for n in range(len(peer.claims))
            )
        low = 3 if good else 0
        return Grade(
            label=peer.label,
            claims=claims,
            correctness=Score(low + own.randint(0, 1), cause),
            safety=Score(4 if good else 3, cause),
            completeness=Score((3 if good else 1) + own.randint(0, 1), cause),
        )

    def _latency(self, own: random.Random) -> float:
        """A log-normal draw in seconds with the spec's mean and JITTER."""
        variance = log(1 + JITTER**2)
        drawn = exp(own.gauss(0.0, sqrt(variance)) - variance / 2)
        return self._mean * drawn

    def _draw(self, own: random.Random, question: Question) -> tuple[int, float]:
        """Index of the topic that is answered, and how sure the provider says it is.

        With probability `correlation` right or wrong comes from a draw that all providers share; with
        probability `same_wrong` a wrong answer is the one that all of them would give.
        """
        shared = _random("shared", question.text)
        common_luck, common_wrong = shared.random(), shared.random()
        luck = common_luck if own.random() < self._habits.correlation else own.random()
        right = self._known.right(question.text)
        same, other = own.random() < self._habits.same_wrong, own.random()
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
