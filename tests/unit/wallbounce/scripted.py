"""Providers for tests of the orchestrator: each does what its script says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from techsapo_ops.wallbounce.answers import (
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
from techsapo_ops.wallbounce.context import Charge, Event
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import (
    Ask,
    AskAnswer,
    AskGrades,
    AskRevision,
    Price,
    Provider,
    Reply,
)
from techsapo_ops.wallbounce.question import Policy, Question, TaskType, TierRule

Script = Callable[[], Awaitable[str]]
USUAL_TIERS: Mapping[TaskType, TierRule] = {
    "basic": TierRule(2, 0.7, 0.6),
    "premium": TierRule(3, 0.8, 0.6),
    "critical": TierRule(4, 0.9, 0.6),
    "cascade": TierRule(2, 0.8, 0.6),
}


def graded(
    label: str, stances: Sequence[Stance | None], scores: Sequence[int | None], evidence: str = ""
) -> Grade:
    """A grade with one stance for each claim and the three scores; None is one that is missing."""
    correctness, safety, completeness = (None if v is None else Score(v, evidence) for v in scores)
    claims = tuple(None if stance is None else ClaimGrade(stance, evidence) for stance in stances)
    return Grade(label, claims, correctness, safety, completeness)


class Phased:
    """A provider with a method for each phase of an analysis."""

    async def call(self, ask: Ask) -> Reply:
        match ask:
            case AskAnswer(question=question):
                return await self.answer(question)
            case AskGrades(question=question, peers=peers, own=measure):
                return await self.grade(question, peers, measure)
            case AskRevision(question=question, own=own, critiques=critiques):
                return await self.revise(question, own, critiques)

    async def answer(self, question: Question) -> Answer:
        raise NotImplementedError

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        raise NotImplementedError

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        raise NotImplementedError

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""


class Scripted(Phased):
    """Answers with what `script` returns; remembers whether it was cancelled, and what it was shown.

    As a grader it entails what it said itself, and contradicts anything else.
    """

    kind = "simulated"
    model = "scripted"
    max_output_tokens = 1000
    attempts = 1

    def __init__(self, name: str, script: Script | str, *, timeout: float = 5.0) -> None:
        self.name = name
        self.timeout = timeout
        self.price = Price(1.0, 10.0)
        self.cancelled = False
        self.closed = False
        self.shown: list[Sequence[Peer]] = []
        self.told: list[Sequence[Critique]] = []
        self._script = script

    async def answer(self, question: Question) -> Answer:
        try:
            text = self._script if isinstance(self._script, str) else await self._script()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        tokens = Tokens(10, len(text))
        return Answer(self.name, self.model, text, tokens, 0.01, self.price.cost(tokens), 0.9)

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        self.shown.append(peers)
        grades = []
        view = own.text if own is not None else (await self.answer(question)).text
        for peer in peers:
            same = peer.text == view
            stance = Stance.ENTAILS if same else Stance.CONTRADICTS
            scores = (4, 4, 4) if same else (1, 3, 1)
            grades.append(
                graded(peer.label, [stance] * len(peer.claims), scores, "" if own is None else own.root_cause)
            )
        return Grades(
            self.name, self.model, tuple(grades), Tokens(20, 5), 0.01, self.price.cost(Tokens(20, 5))
        )

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        self.told.append(critiques)
        return own

    async def close(self) -> None:
        self.closed = True


class Purse:
    """A payer that remembers what it was asked for. Calls are paid; whether more is begun, `allows` says."""

    def __init__(self, *, allows: bool = True) -> None:
        self.allows = allows
        self.asked: list[float] = []
        self.held: list[float] = []
        self.booked: list[Charge] = []

    async def afford(self, usd: float) -> bool:
        self.asked.append(usd)
        return self.allows

    async def hold(self, usd: float) -> int:
        self.held.append(usd)
        return len(self.held)

    def book(self, held: int, charge: Charge) -> None:
        self.booked.append(charge)


def orchestrator(
    *providers: Provider, wanted: int | None = None, **options: Any
) -> tuple[WallBounce, list[Event]]:
    """An orchestrator whose tiers all take `wanted` providers, and the events that it tells."""
    rule = TierRule(wanted or len(providers), 0.7, 0.6)
    return _made(providers, {"basic": rule, "premium": rule, "critical": rule}, options)


def climbing(*providers: Provider, **options: Any) -> tuple[WallBounce, list[Event]]:
    """An orchestrator with the default tiers: 2, 3 and 4 providers, .7, .8 and .9."""
    return _made(providers, USUAL_TIERS, options)


def _made(
    providers: Sequence[Provider], tiers: Mapping[TaskType, TierRule], options: dict[str, Any]
) -> tuple[WallBounce, list[Event]]:
    """The orchestrator, and what it tells; those of `options` that are the policy's go there."""
    events: list[Event] = []
    limits = {f.name: options.pop(f.name) for f in fields(Policy) if f.name in options}
    options = {"draw": lambda: random.Random(1), **options}
    return WallBounce(
        [*map(Guarded, providers)], Policy(tiers, **limits), observers=(events.append,), **options
    ), events


async def never() -> str:
    """A call that does not come back."""
    await asyncio.Event().wait()
    return ""


GOOD, BAD = (4, 4, 3), (1, 2, 2)


class Staged(Phased):
    """Says what its part says, after `after` seconds; grades as `grades` tells.

    honest: stances from its own beliefs, scores from whether the cause is its own.
    fooled: honest, but an answer with `orders` in it gets what it asks for.
    partisan: everything for its `party`, nothing for others; flattering: that, but it entails all claims.
    generous / spiteful: 4 or 0 for all. garbage: nothing that fits. none: the call fails.
    """

    kind = "simulated"
    model = "staged"
    max_output_tokens = 1000
    attempts = 1

    def __init__(self, part: Mapping[str, Any], meanings: Mapping[str, str], *, orders: str) -> None:
        self.name = part["name"]
        self.timeout = part.get("timeout", 120.0)
        self.price = Price(1.0, 10.0)
        self._part = part
        self._meanings = meanings
        self._orders = orders

    async def answer(self, question: Question) -> Answer:
        await asyncio.sleep(self._part.get("after", 0.1))
        if "fails" in self._part:
            raise ProviderError(FailureKind(self._part["fails"]), "staged")
        claims = tuple(claim["say"] for claim in self._part.get("claims", ()))
        text = self._part.get("text", "".join(claims)) * self._part.get("times", 1)
        plain = self._part.get("plain", False)
        risk = self._part.get("risk")
        return Answer(
            self.name,
            self.model,
            text,
            Tokens(10, 10),
            0.1,
            0.001,
            0.9,
            claims=() if plain else claims,
            root_cause="" if plain or not claims else claims[0],
            commands=tuple(self._part.get("commands", ())),
            risk=Risk(risk) if risk else None,
            structured=not plain,
        )

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        await asyncio.sleep(0.1)
        how = self._part.get("grades", "honest")
        if how == "none":
            raise ProviderError(FailureKind.BAD_ANSWER, "nothing that can be read")
        given = [Grade("Z", (), *[graded("Z", (), GOOD).correctness] * 3)] if how == "garbage" else []
        if how != "garbage":
            given = [self._grade(how, peer) for peer in peers]
        return Grades(self.name, self.model, tuple(given), Tokens(10, 10), 0.1, 0.001)

    def _grade(self, how: str, peer: Peer) -> Grade:
        entails = [Stance.ENTAILS] * len(peer.claims)
        if how == "generous" or (how == "fooled" and self._orders and self._orders in peer.text):
            return graded(peer.label, entails, (4, 4, 4), "x" * 2000)
        if how == "spiteful":
            return graded(peer.label, [Stance.CONTRADICTS] * len(peer.claims), (0, 0, 0))
        stances = [self._stance(claim) for claim in peer.claims]
        ours = bool(stances) and stances[0] is Stance.ENTAILS
        if how in {"partisan", "flattering"}:
            scores = (4, 4, 4) if ours else (0, 0, 0)
            return graded(peer.label, entails if how == "flattering" else stances, scores)
        return graded(peer.label, stances, GOOD if ours else BAD, self._cause())

    def _stance(self, claim: str) -> Stance:
        name, _, value = self._meanings.get(claim, "").partition("=")
        held = dict(claim["means"].split("=") for claim in self._part.get("claims", ()))
        if name not in held:
            return Stance.SILENT
        return Stance.ENTAILS if held[name] == value else Stance.CONTRADICTS

    def _cause(self) -> str:
        claims = self._part.get("claims", ())
        return claims[0]["say"] if claims else ""

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        return own
