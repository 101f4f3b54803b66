"""A provider as analyses ask it: its bounds and breaker, who pays, what is known already, who hears of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

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
from techsapo_ops.wallbounce.providers.breaker import Breaker, CircuitOpen
from techsapo_ops.wallbounce.providers.failures import Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.prices import worst_of_ask
from techsapo_ops.wallbounce.providers.provider import Ask, AskGrades, AskRevision, Provider, Reply

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


class Guarded:
    """`inner` as an analysis asks it. From the outermost to the innermost:

    The analysis's context is told what came of the call. Its memory gives what it has, and stores the rest:
    that is outside of retries and money, since what is recalled was paid for. Then come the attempts, within
    the provider's own time and the ask's; after a failure that may pass there is another, as often as
    `attempts` say. Each attempt needs the breaker's leave, and is paid by the analysis's payer, at the worst
    case until it ends: a vendor may bill attempts that fail.
    """

    def __init__(
        self,
        inner: Provider,
        breaker: Breaker | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.inner = inner
        self.breaker = breaker
        self.name = inner.name
        self.kind = inner.kind
        self.model = inner.model
        self.timeout = inner.timeout
        self.price = inner.price
        self.max_output_tokens = inner.max_output_tokens
        self.attempts = inner.attempts
        self._sleep = sleep
        self._draw = draw

    async def warm(self) -> None:
        """Let the inner one import what it needs."""
        await self.inner.warm()

    async def close(self) -> None:
        """Let the inner one give its connections back."""
        await self.inner.close()

    async def call(self, ask: Ask) -> Reply:
        """What it replies. A failure is given the time that it took."""
        request_id, context = ask.question.request_id, ask.context
        memory, started = context.memory, time.perf_counter()
        try:
            reply = await (self._replied(ask) if memory is None else self._recalled(memory, ask))
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

    async def _recalled(self, memory: Memory, ask: Ask) -> Reply:
        call = call_of(self, ask)
        known = _known(memory, call, ask)
        if known is not None:
            return known
        await memory.asking(call, worst_of_ask(self, ask))
        try:
            reply = await self._replied(ask)
        except ProviderError as error:
            await memory.ended(call, error.cost_usd)
            raise
        await memory.ended(call, reply.cost_usd, _written(reply))
        return reply

    async def _replied(self, ask: Ask) -> Reply:
        """The reply to one of the attempts, neither empty nor endless.

        A pause that would end after the deadline is not begun. What failed attempts cost is part of what the
        call costs, and a pause is a wait for the vendor. Nobody knows what a vendor bills for a call that was
        cut off: the worst counts. Where the ask's time was over, and not the provider's own, the analysis's
        wait takes note.

        Of the two libraries that fit the field, stamina and tenacity, neither takes the wait from the error
        that was raised while it keeps a deadline that also cuts the attempt under way.
        """
        clock = asyncio.get_running_loop().time
        allowed, began = min(self.timeout, ask.limit), clock()
        deadline, attempt, lost = began + allowed, 0, 0.0
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    attempt += 1
                    try:
                        reply = await self._attempt(ask, began + self.timeout)
                        break
                    except ProviderError as error:
                        lost += error.cost_usd
                        pause = pause_after(attempt, error.retry_after, self._draw())
                        hopeless = isinstance(error, CircuitOpen) or not error.passing
                        if hopeless or attempt >= self.attempts or clock() + pause >= deadline:
                            error.cost_usd = lost
                            raise
                    with ask.context.wait:
                        await self._sleep(pause)
        except TimeoutError:
            if ask.limit < self.timeout and clock() >= deadline:
                ask.context.wait.cut_off = True
            late = msg("no answer within {allowed:.3g} s", allowed=allowed)
            cost = lost + worst_of_ask(self, ask)
            raise ProviderError(FailureKind.TIMEOUT, late, cost_usd=cost) from None
        if lost:
            reply = replace(reply, cost_usd=reply.cost_usd + lost)
        if isinstance(reply, Answer):
            _check(reply)
        return reply

    async def _attempt(self, ask: Ask, due: float) -> Reply:
        """One call, a wait for the vendor. At `due` (the event loop's time) the provider itself is late."""
        context, clock = ask.context, asyncio.get_running_loop().time
        with nullcontext() if self.breaker is None else self.breaker.admit(due):
            payer = context.payer
            if payer is None:
                with context.wait:
                    return await self.inner.call(ask)
            held = await payer.hold(worst_of_ask(self, ask))
            cost: float | None = None
            status, tokens, taken, version, started = CUT_OFF, Tokens(), 0.0, "", clock()
            try:
                with context.wait:
                    reply = await self.inner.call(ask)
            except ProviderError as error:
                cost, status, tokens = error.cost_usd, str(error.kind), error.tokens
                raise
            else:
                cost, status, tokens, taken = reply.cost_usd, "success", reply.tokens, reply.seconds
                version = reply.version
                return reply
            finally:
                seconds = taken or clock() - started
                charge = Charge(self.name, self.model, ask.phase, status, cost, tokens, seconds, version)
                payer.book(held, charge)
                context.tell(Charged(ask.question.request_id, context.task_type, charge))


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


def _event(ask: Ask, reply: Reply) -> Event:
    """What is told of a reply. Peers have the labels that the grader knows them by."""
    request_id, task_type = ask.question.request_id, ask.context.task_type
    if isinstance(reply, Grades):
        return Graded(request_id, task_type, reply, tuple(grade.label for grade in reply.grades))
    return Answered(request_id, task_type, reply, ask.phase)


_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
_GRADES: TypeAdapter[Grades] = TypeAdapter(Grades)
_APART = "\t"


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
