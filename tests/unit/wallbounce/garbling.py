"""A grader that leaves out part of what it says."""

from __future__ import annotations

import random
from dataclasses import replace

from scripted import Phased
from typing_extensions import override

from techsapo_ops.wallbounce.answers import Grade, Grades
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Ask, Provider, Reply


class Garbling(Phased):
    """`inner`, of whose grades, stances and scores a `share` each can't be read; drawn for each reply."""

    def __init__(self, inner: Provider, share: float, seed: int) -> None:
        self.inner = inner
        self.name, self.kind, self.model = inner.name, inner.kind, inner.model
        self.timeout, self.attempts = inner.timeout, inner.attempts
        self.price, self.max_output_tokens = inner.price, inner.max_output_tokens
        self._share = share
        self._draw = random.Random(seed)

    @override
    async def call(self, ask: Ask) -> Reply:
        reply = await self.inner.call(ask)
        if not isinstance(reply, Grades):
            return reply
        kept = tuple(self._garbled(grade) for grade in reply.grades if not self._lost())
        if not kept:
            raise ProviderError(FailureKind.BAD_ANSWER, "the grades can't be read")
        return replace(reply, grades=kept)

    def _lost(self) -> bool:
        return self._draw.random() < self._share

    def _garbled(self, grade: Grade) -> Grade:
        claims = tuple(None if self._lost() else claim for claim in grade.claims)
        return Grade(grade.label, claims, *(None if self._lost() else score for score in grade.scores))
