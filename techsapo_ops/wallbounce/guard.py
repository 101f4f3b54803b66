"""A provider made patient and prudent: deadline, retries and circuit breaker around any other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.breaker import Breaker
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.grades import Critique, Grades, Peer
from techsapo_ops.wallbounce.provider import Provider, worst_cost, worst_grading, worst_revision
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.retry import RetryPolicy, call_with_retries

T = TypeVar("T", Answer, Grades)


class Guarded:
    """`inner` with a deadline over all attempts, retries after passing failures, and a breaker.

    It gives up a little before `timeout`, so that a caller with the same deadline hears why. What failed
    attempts cost is part of what the call costs.
    """

    def __init__(
        self,
        inner: Provider,
        breaker: Breaker,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name = inner.name
        self.kind = inner.kind
        self.model = inner.model
        self.timeout = inner.timeout
        self.price = inner.price
        self.max_output_tokens = inner.max_output_tokens
        self.inner = inner
        self.breaker = breaker
        self._limit = inner.timeout - min(0.05, inner.timeout * 0.02)
        self._policy = policy
        self._sleep = sleep
        self._draw = draw

    def around(self, wrap: Callable[[Provider], Provider]) -> Guarded:
        """This guard, breaker and all, around `wrap` of what it guards: each attempt passes `wrap`."""
        return Guarded(wrap(self.inner), self.breaker, self._policy, sleep=self._sleep, draw=self._draw)

    async def answer(self, question: Question) -> Answer:
        """See Provider.answer."""
        return await self._guard(
            lambda: self.inner.answer(question), lambda: worst_cost(self.inner, question)
        )

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        """See Provider.grade."""
        return await self._guard(
            lambda: self.inner.grade(question, peers, own),
            lambda: worst_grading(self.inner, question, peers, own),
        )

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        """See Provider.revise."""
        return await self._guard(
            lambda: self.inner.revise(question, own, critiques),
            lambda: worst_revision(self.inner, question, own, critiques),
        )

    async def warm(self) -> None:
        """See Provider.warm."""
        await self.inner.warm()

    async def close(self) -> None:
        """See Provider.close."""
        await self.inner.close()

    async def _guard(self, call: Callable[[], Awaitable[T]], worst: Callable[[], float]) -> T:
        deadline = asyncio.get_running_loop().time() + self._limit
        lost = 0.0

        async def attempt() -> T:
            nonlocal lost
            permit = self.breaker.admit()
            try:
                result = await call()
            except ProviderError as error:
                permit.ended(error.kind)
                lost += error.cost_usd
                raise
            except BaseException:
                late = asyncio.get_running_loop().time() >= deadline
                if late:
                    permit.ended(FailureKind.TIMEOUT)
                else:
                    permit.given_up()
                raise
            permit.ended(None)
            return result

        try:
            result = await call_with_retries(
                attempt, self._policy, self._limit, sleep=self._sleep, draw=self._draw
            )
        except ProviderError as error:
            error.cost_usd = lost
            raise
        except TimeoutError:
            told = f"no answer within {self.timeout:g} s"
            raise ProviderError(FailureKind.TIMEOUT, told, cost_usd=lost + worst()) from None
        return replace(result, cost_usd=result.cost_usd + lost) if lost else result
