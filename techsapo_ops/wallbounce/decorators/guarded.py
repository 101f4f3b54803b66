"""Leaves a provider alone that keeps failing."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from techsapo_ops.wallbounce.asks import Ask, Reply
from techsapo_ops.wallbounce.breaker import Breaker
from techsapo_ops.wallbounce.failures import FailureKind, NotAskedError, ProviderError
from techsapo_ops.wallbounce.provider import Decorator, Provider


class Guarded(Decorator):
    """`inner` behind a circuit breaker, which learns how each call ended."""

    def __init__(self, inner: Provider, breaker: Breaker) -> None:
        super().__init__(inner)
        self._breaker = breaker

    @override
    async def call(self, ask: Ask) -> Reply:
        permit = self._breaker.admit()
        try:
            reply = await self.inner.call(ask)
        except NotAskedError:
            permit.given_up()
            raise
        except ProviderError as error:
            permit.ended(error.kind, error.cause)
            raise
        except BaseException:
            if asyncio.get_running_loop().time() >= ask.due:
                permit.ended(FailureKind.TIMEOUT)
            else:
                permit.given_up()
            raise
        permit.ended(None)
        return reply
