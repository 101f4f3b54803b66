"""Tells of a provider's calls as they end."""

from __future__ import annotations

import asyncio
import time

from typing_extensions import override

from techsapo_ops.wallbounce.events import Answered, Cancelled, Event, Failed, Graded
from techsapo_ops.wallbounce.examination.grades import Grades
from techsapo_ops.wallbounce.providers.asks import Ask, Reply
from techsapo_ops.wallbounce.providers.failures import Failure, ProviderError
from techsapo_ops.wallbounce.providers.provider import Decorator


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
