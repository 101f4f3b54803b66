"""What is put around a provider: its bounds, who pays, what is known already, who hears of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Answer, Grades, Tokens
from techsapo_ops.wallbounce.context import (
    CUT_OFF,
    Answered,
    Cancelled,
    Charge,
    Charged,
    Event,
    Failed,
    Graded,
    Memory,
)
from techsapo_ops.wallbounce.providers.breaker import CircuitOpen
from techsapo_ops.wallbounce.providers.failures import Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.prices import worst_of_ask
from techsapo_ops.wallbounce.providers.provider import Ask, AskGrades, AskRevision, Decorator, Provider, Reply

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""
BASE, CAP = 0.5, 8.0
"""Seconds: the longest pause after the first failure, and after any; it doubles with each."""


def pause_after(attempt: int, retry_after: float | None, draw: float) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed; `draw` is 0 to 1.

    What the provider asked for by Retry-After, and a share of min(CAP, BASE * 2 ** (attempt - 1)) ("full
    jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    return (retry_after or 0.0) + draw * min(CAP, BASE * 2.0 ** min(attempt - 1, 30))


class Bounded(Decorator):
    """`inner` within its own time and the ask's, and with answers that are neither empty nor endless.

    After a failure that may pass it is called again, as often as its `attempts` say; a pause that would end
    after the deadline is not begun. What failed attempts cost is part of what the call costs, and a pause is
    a wait for the vendor. Nobody knows what a vendor bills for a call that was cut off: the worst counts.
    Where the ask's time was over, and not the provider's own, the analysis's wait takes note.

    Of the two libraries that fit the field, stamina and tenacity, neither takes the wait from the error that
    was raised while it keeps a deadline that also cuts the attempt under way.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._sleep = sleep
        self._draw = draw

    @override
    async def call(self, ask: Ask) -> Reply:
        clock = asyncio.get_running_loop().time
        allowed, began = min(self.timeout, ask.limit), clock()
        deadline, attempt, lost = began + allowed, 0, 0.0
        timed = replace(ask, due=began + self.timeout)
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    attempt += 1
                    try:
                        reply = await self.inner.call(timed)
                        break
                    except ProviderError as error:
                        lost += error.cost_usd
                        pause = pause_after(attempt, error.retry_after, self._draw())
                        hopeless = isinstance(error, CircuitOpen) or not error.passing
                        if hopeless or attempt >= self.attempts or clock() + pause >= deadline:
                            error.cost_usd = lost
                            raise
                    with ask.context.wait.lasts():
                        await self._sleep(pause)
        except TimeoutError:
            if ask.limit < self.timeout and clock() >= deadline:
                ask.context.wait.cut_off = True
            late = msg("no answer within {allowed:.3g} s", allowed=allowed)
            cost = lost + worst_of_ask(self.inner, ask)
            raise ProviderError(FailureKind.TIMEOUT, late, cost_usd=cost) from None
        if lost:
            reply = replace(reply, cost_usd=reply.cost_usd + lost)
        if isinstance(reply, Answer):
            _check(reply)
        return reply


def _check(answer: Answer) -> None:
    if not answer.text.strip():
        raise ProviderError(FailureKind.BAD_ANSWER, msg("the answer is empty"), cost_usd=answer.cost_usd)
    if len(answer.text) > MAX_ANSWER:
        raise ProviderError(
            FailureKind.BAD_ANSWER,
            msg(
                "the answer has {count} characters; the limit is {max_answer}",
                count=len(answer.text),
                max_answer=MAX_ANSWER,
            ),
            cost_usd=answer.cost_usd,
        )


class Metered(Decorator):
    """`inner` whose calls are paid by the analysis's payer, at the worst case until they end.

    The time that they take counts as wait for a vendor.

    Its place is within the retries: a vendor may bill attempts that fail, and what is set aside for a call is
    what one attempt can cost.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        payer, wait = ask.context.payer, ask.context.wait
        if payer is None:
            with wait.lasts():
                return await self.inner.call(ask)
        held = await payer.hold(worst_of_ask(self.inner, ask))
        cost: float | None = None
        status, tokens, taken = CUT_OFF, Tokens(), 0.0
        started = asyncio.get_running_loop().time()
        try:
            with wait.lasts():
                reply = await self.inner.call(ask)
        except ProviderError as error:
            cost, status, tokens = error.cost_usd, str(error.kind), error.tokens
            raise
        else:
            cost, status, tokens, taken = reply.cost_usd, "success", reply.tokens, reply.seconds
            return reply
        finally:
            seconds = taken or asyncio.get_running_loop().time() - started
            charge = Charge(self.name, self.model, ask.phase, status, cost, tokens, seconds)
            payer.book(held, charge)
            ask.context.tell(Charged(ask.question.request_id, ask.context.task_type, charge))


_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
_GRADES: TypeAdapter[Grades] = TypeAdapter(Grades)
_APART = "\t"


class Recalled(Decorator):
    """`inner`, whose replies the analysis's memory stores, and gives again.

    It is outside retries and money: what is recalled was paid for.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        memory = ask.context.memory
        if memory is None:
            return await self.inner.call(ask)
        call = call_of(self, ask)
        known = _known(memory, call, ask)
        if known is not None:
            return known
        await memory.asking(call, worst_of_ask(self.inner, ask))
        try:
            reply = await self.inner.call(ask)
        except ProviderError as error:
            await memory.ended(call, error.cost_usd)
            raise
        await memory.ended(call, reply.cost_usd, _written(reply))
        return reply


def call_of(provider: Provider, ask: Ask) -> str:
    """The name of a call: phase, provider, model, and a digest of all that is sent."""
    sent: list[Any] = [ask.question.text, ask.question.language]
    if isinstance(ask, AskGrades):
        sent += [[asdict(peer) for peer in ask.peers], _shown(ask.own)]
    elif isinstance(ask, AskRevision):
        sent += [[asdict(critique) for critique in ask.critiques], _shown(ask.own)]
    digest = hashlib.sha256(json.dumps(sent).encode()).hexdigest()[:32]
    return _APART.join((ask.phase, provider.name, provider.model, digest))


def parts_of(call: str) -> tuple[str, str, str]:
    """Phase, provider and model of a call by its name."""
    phase, provider, model, _ = call.split(_APART)
    return phase, provider, model


def _shown(own: Answer | None) -> list[Any] | None:
    return None if own is None else [own.text, own.root_cause, own.claims, own.commands]


def _known(memory: Memory, call: str, ask: Ask) -> Reply | None:
    value = memory.reply(call)
    if value is None:
        return None
    kind: TypeAdapter[Answer] | TypeAdapter[Grades] = _GRADES if isinstance(ask, AskGrades) else _ANSWER
    try:
        return kind.validate_python(value)
    except ValueError:  # of another version's form
        return None


def _written(reply: Reply) -> Any:
    if isinstance(reply, Grades):
        return _GRADES.dump_python(reply, mode="json")
    return _ANSWER.dump_python(reply, mode="json")


class Reported(Decorator):
    """`inner` whose calls the analysis's context is told of. A failure is given the time that it took.

    It is the outermost, so that what it tells is what the analysis gets.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        request_id, context = ask.question.request_id, ask.context
        started = time.perf_counter()
        try:
            reply = await self.inner.call(ask)
        except ProviderError as error:
            error.seconds = time.perf_counter() - started
            failure = Failure.of(self.name, self.model, error)
            context.tell(Failed(request_id, context.task_type, failure, ask.phase))
            raise
        except asyncio.CancelledError:
            spent = time.perf_counter() - started
            context.tell(Cancelled(request_id, context.task_type, self.name, self.model, spent))
            raise
        context.tell(_event(ask, reply))
        return reply


def _event(ask: Ask, reply: Reply) -> Event:
    """What is told of a reply. Peers have the labels that the grader knows them by."""
    request_id, task_type = ask.question.request_id, ask.context.task_type
    if isinstance(reply, Grades):
        return Graded(request_id, task_type, reply, tuple(grade.label for grade in reply.grades))
    return Answered(request_id, task_type, reply, ask.phase)
