"""Calls to providers within one analysis: all at once, costs added up, failures kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import Ask, AskAnswer, AskGrades, AskRevision
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.events import Asked, Bouncing, Event, Graded, Grading
from techsapo_ops.wallbounce.failures import Failure, ProviderError
from techsapo_ops.wallbounce.grades import Critique, Grade, Grades
from techsapo_ops.wallbounce.masked_asks import masked
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.sheets import Sheet, believed, bounded
from techsapo_ops.wallbounce.shown import shown

T = TypeVar("T")
R = TypeVar("R", Answer, Grades)


@dataclass(slots=True)
class Calls:
    """All calls of one analysis. `cost_usd` sums up what they cost, failed ones too."""

    question: Question
    context: AnalysisContext
    cost_usd: float = 0.0
    later_failures: list[Failure] = field(default_factory=list)

    def asking(self, providers: Sequence[Provider]) -> None:
        """Tell that these are asked for an answer."""
        self._tell(Asked, providers)

    async def answer(self, provider: Provider, limit: float) -> Answer | Failure:
        """Ask one for an answer, within `limit` seconds and its own time-out."""
        ask = AskAnswer(self.question, context=self.context, limit=limit)
        result = await self._call(provider, ask, Answer)
        return result if isinstance(result, Failure) else bounded(result)

    async def grades(
        self, work: Sequence[tuple[Provider, Answer, Sheet]], limit: float, names: Sequence[str]
    ) -> list[dict[int, Grade]]:
        """Let each grade its sheet; `names` are the answers' providers. Empty where a call failed."""
        self._tell(Grading, [p for p, _, _ in work])
        return await at_once(self._grade(p, own, sheet, limit, names) for p, own, sheet in work)

    async def revisions(
        self, work: Sequence[tuple[Provider, Answer, Sequence[Critique]]], limit: float
    ) -> list[Answer | None]:
        """Send each its critiques; None where a call failed."""
        self._tell(Bouncing, [p for p, _, _ in work])
        return await at_once(self._revise(p, own, critiques, limit) for p, own, critiques in work)

    def _tell(self, phase: type[Asked | Grading | Bouncing], providers: Sequence[Provider]) -> None:
        """Tell that a phase begins, where anybody takes part in it."""
        if providers:
            names = tuple(dict.fromkeys(p.name for p in providers))
            self.context.tell(phase(self.question.request_id, self.context.task_type, names))

    async def _grade(
        self, provider: Provider, own: Answer, sheet: Sheet, limit: float, names: Sequence[str]
    ) -> dict[int, Grade]:
        labelled = {p.label: names[i] for p, i in zip(sheet.peers, sheet.subjects, strict=True)}
        context = _naming(self.context, labelled)
        ask = AskGrades(self.question, sheet.peers, own, context=context, limit=limit)
        result = await self._call(provider, ask, Grades)
        if isinstance(result, Failure):
            self.later_failures.append(result)
            return {}
        return believed(sheet, result)

    async def _revise(
        self, provider: Provider, own: Answer, critiques: Sequence[Critique], limit: float
    ) -> Answer | None:
        ask = AskRevision(self.question, own, critiques, context=self.context, limit=limit)
        result = await self._call(provider, ask, Answer)
        if isinstance(result, Failure):
            self.later_failures.append(result)
            return None
        return bounded(result)

    async def _call(self, provider: Provider, ask: Ask, wanted: type[R]) -> R | Failure:
        try:
            reply = await provider.call(shown(masked(ask)))
        except ProviderError as error:
            self.cost_usd += error.cost_usd
            return Failure.of(provider.name, provider.model, error)
        self.cost_usd += reply.cost_usd
        if not isinstance(reply, wanted):
            raise TypeError(f"{provider.name} was asked to {ask.phase} and replied {type(reply).__name__}")
        return reply


def _naming(context: AnalysisContext, labelled: Mapping[str, str]) -> AnalysisContext:
    """`context`, told whom each label stands for. A grader never learns it: an ask holds labels alone."""

    def tell(event: Event) -> None:
        if isinstance(event, Graded):
            event = replace(event, subjects=tuple(labelled.get(label, "") for label in event.subjects))
        context.tell(event)

    return replace(context, tell=tell)


async def at_once(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of `work` returns, done at the same time; where one raises, the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]
