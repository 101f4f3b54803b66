"""Calls to providers within one analysis: deadlines, events, costs and failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.events import Answered, Cancelled, Event, Failed, Graded, Phase, Revised
from techsapo_ops.wallbounce.failures import Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.grades import Critique, Grade
from techsapo_ops.wallbounce.provider import (
    MAX_ANSWER,
    Provider,
    worst_cost,
    worst_grading,
    worst_revision,
)
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.sheets import Sheet, believed, bounded
from techsapo_ops.wallbounce.tiers import TaskType

T = TypeVar("T")


@dataclass(slots=True)
class Calls:
    """All calls of one analysis. `cost_usd` sums up what they cost, failed ones too. What the vendor bills
    for a call that was cut off nobody knows, so that its worst case counts.
    """

    question: Question
    task_type: TaskType
    tell: Callable[[Event], None]
    cost_usd: float = 0.0
    later_failures: list[Failure] = field(default_factory=list)

    async def answers(self, providers: Sequence[Provider], limit: float) -> list[Answer | Failure]:
        """Ask all at once; each has its own time-out, and `limit` seconds at most."""
        return await _at_once(self._answer(p, limit) for p in providers)

    async def grades(
        self, work: Sequence[tuple[Provider, Answer, Sheet]], limit: float, names: Sequence[str]
    ) -> list[dict[int, Grade]]:
        """Let each grade its sheet; `names` are the answers' providers. Empty where a call failed."""
        return await _at_once(self._grade(p, own, sheet, limit, names) for p, own, sheet in work)

    async def revisions(
        self, work: Sequence[tuple[Provider, Answer, Sequence[Critique]]], limit: float
    ) -> list[Answer | None]:
        """Send each its critiques; None where a call failed."""
        return await _at_once(self._revise(p, own, critiques, limit) for p, own, critiques in work)

    async def _answer(self, provider: Provider, limit: float) -> Answer | Failure:
        question = self.question
        result = await self._call(
            provider,
            "answer",
            limit,
            lambda: provider.answer(question),
            lambda: worst_cost(provider, question),
        )
        if isinstance(result, Failure):
            return result
        self.cost_usd += result.cost_usd
        self.tell(Answered(self.question.request_id, self.task_type, result))
        return bounded(result)

    async def _grade(
        self, provider: Provider, own: Answer, sheet: Sheet, limit: float, names: Sequence[str]
    ) -> dict[int, Grade]:
        question = self.question
        result = await self._call(
            provider,
            "grade",
            limit,
            lambda: provider.grade(question, sheet.peers, own),
            lambda: worst_grading(provider, question, sheet.peers, own),
        )
        if isinstance(result, Failure):
            self.later_failures.append(result)
            return {}
        self.cost_usd += result.cost_usd
        labelled = {p.label: names[i] for p, i in zip(sheet.peers, sheet.subjects, strict=True)}
        subjects = tuple(labelled.get(g.label, "") for g in result.grades)
        self.tell(Graded(self.question.request_id, self.task_type, result, subjects))
        return believed(sheet, result)

    async def _revise(
        self, provider: Provider, own: Answer, critiques: Sequence[Critique], limit: float
    ) -> Answer | None:
        question = self.question
        result = await self._call(
            provider,
            "revise",
            limit,
            lambda: provider.revise(question, own, critiques),
            lambda: worst_revision(provider, question, own, critiques),
        )
        if isinstance(result, Failure):
            self.later_failures.append(result)
            return None
        self.cost_usd += result.cost_usd
        self.tell(Revised(self.question.request_id, self.task_type, result))
        return bounded(result)

    async def _call(
        self,
        provider: Provider,
        phase: Phase,
        limit: float,
        call: Callable[[], Awaitable[T]],
        worst: Callable[[], float],
    ) -> T | Failure:
        started = time.perf_counter()
        allowed = min(provider.timeout, limit)
        retry_after, cost = None, 0.0
        try:
            async with asyncio.timeout(allowed):
                result = await call()
            if isinstance(result, Answer):
                _check(result)
        except ProviderError as error:
            kind, message, retry_after = error.kind, error.message, error.retry_after
            cost = error.cost_usd
        except asyncio.CancelledError:
            spent = time.perf_counter() - started
            self.tell(
                Cancelled(self.question.request_id, self.task_type, provider.name, provider.model, spent)
            )
            raise
        except TimeoutError:
            kind, message, cost = FailureKind.TIMEOUT, f"no answer within {allowed:.3g} s", worst()
        else:
            return result
        seconds = time.perf_counter() - started
        self.cost_usd += cost
        failure = Failure(provider.name, provider.model, kind, message, seconds, retry_after, cost)
        self.tell(Failed(self.question.request_id, self.task_type, failure, phase))
        return failure


async def _at_once(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]


def _check(answer: Answer) -> None:
    if not answer.text.strip():
        raise ProviderError(FailureKind.BAD_ANSWER, "the answer is empty", cost_usd=answer.cost_usd)
    if len(answer.text) > MAX_ANSWER:
        raise ProviderError(
            FailureKind.BAD_ANSWER,
            f"the answer has {len(answer.text)} characters, more than {MAX_ANSWER}",
            cost_usd=answer.cost_usd,
        )
