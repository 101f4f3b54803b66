"""Providers of a case in tests/cases/wallbounce: each claim has a meaning that only the stage knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from scripted import Phased, graded

from techsapo_ops.wallbounce.answers import Answer, Risk, Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.grades import Critique, Grade, Grades, Peer, Stance
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.question import Question

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
