"""Who answers in a tier's seats: its providers, and in the place of one that fails the next spare."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.calls import Afford, Calls, at_once
from techsapo_ops.wallbounce.events import SatIn
from techsapo_ops.wallbounce.providers.causes import Cause
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.worst_cases import PROMPT_OVERHEAD, worst_cost

Came = list[tuple[Provider, Answer | Failure]]
"""Who was asked, in this order, and what came of it."""


class Turn(Enum):
    """Whether a provider's turn has come."""

    WELL = "well"
    DUE = "due"
    """It is down, and may be tried again."""
    RESTING = "resting"
    """It is down, and left alone for now."""


def in_order(
    providers: Sequence[Provider], turn: Callable[[Provider], Turn], seats: int
) -> tuple[Provider, ...]:
    """Who is asked first, second and so on, where `seats` answer: none that rests, unless all do.

    One that is due and has no seat gets the last one while the others are well: nobody would ask a spare
    else, and a spare that failed during an outage would stay down for ever. Who made way is the first spare.
    None is tried that costs more than all of them: the budget may have no room for it.
    """
    awake = [p for p in providers if turn(p) is not Turn.RESTING] or list(providers)
    dearest = max((_price(p) for p in awake[:seats]), default=0.0)
    due = [p for p in awake[seats:] if turn(p) is Turn.DUE and _price(p) <= dearest]
    if due and seats > 1 and all(turn(p) is Turn.WELL for p in awake[:seats]):
        awake.remove(due[0])
        awake.insert(seats - 1, due[0])
    return tuple(awake)


def _price(provider: Provider) -> float:
    """Most that an answer to a short question can cost."""
    return provider.price.most(PROMPT_OVERHEAD, provider.max_output_tokens)


class Seats:
    """The seats of one analysis. A spare is as blind as everybody who answers.

    It is asked at once, while `afford` allows what it can cost and `least` seconds are left.
    """

    def __init__(self, calls: Calls, afford: Afford, least: float) -> None:
        self._calls = calls
        self._afford = afford
        self._least = least

    async def taken(self, providers: Sequence[Provider], spares: Sequence[Provider], limit: float) -> Came:
        """What comes of all, who answer at the same time within `limit` seconds, seat by seat."""
        self._calls.asking(providers)
        until, left = asyncio.get_running_loop().time() + limit, deque(spares)
        seats = await at_once(self._seat(p, left, until) for p in providers)
        return [each for seat in seats for each in seat]

    async def _seat(self, provider: Provider, spares: deque[Provider], until: float) -> Came:
        clock = asyncio.get_running_loop().time
        came: Came = []
        sitting: Provider | None = provider
        while sitting is not None:
            result = await self._calls.answer(sitting, max(0.0, until - clock()))
            came.append((sitting, result))
            if isinstance(result, Answer) or until - clock() < self._least:
                return came
            sitting = await self._spare(result, spares)
        return came

    async def _spare(self, failure: Failure, spares: deque[Provider]) -> Provider | None:
        """The next of `spares`, where there is money for it."""
        while spares and failure.cause is not Cause.BUDGET:
            spare = spares[0]
            fits = await self._afford(worst_cost(spare, self._calls.question))
            if spares and spares[0] is spare:  # else another seat took it meanwhile
                if not fits:
                    return None
                spares.popleft()
                question, task = self._calls.question, self._calls.context.task_type
                self._calls.context.tell(SatIn(question.request_id, task, failure, spare.name))
                return spare
        return None
