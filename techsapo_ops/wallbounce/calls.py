"""Calls to providers within one analysis: all at once, costs added up, failures kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, TypeVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.events import AskedAgain, Began, Event, Graded, Phase
from techsapo_ops.wallbounce.examination.grades import Critique, Grade, Grades
from techsapo_ops.wallbounce.examination.sheets import Sheet, believed
from techsapo_ops.wallbounce.examination.shown import masked, shown
from techsapo_ops.wallbounce.providers.asks import Ask, AskAnswer, AskGrades, AskRevision
from techsapo_ops.wallbounce.providers.failures import Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.worst_cases import worst_of_ask
from techsapo_ops.wallbounce.question import Question

T = TypeVar("T")
R = TypeVar("R", Answer, Grades)


Afford = Callable[[float], Awaitable[bool]]
"""Whether so many USD more may be spent."""


@dataclass(frozen=True, slots=True)
class Grader:
    """Who grades, by what answer of its own; `names` are the providers of all answers."""

    provider: Provider
    own: Answer
    names: Sequence[str]

    def ask(
        self, question: Question, context: AnalysisContext, sheet: Sheet, limit: float = inf
    ) -> AskGrades:
        """What it is asked with `sheet`."""
        labelled = {p.label: self.names[i] for p, i in zip(sheet.peers, sheet.subjects, strict=True)}
        context = _naming(context, labelled)
        return AskGrades(question, sheet.peers, self.own, context=context, limit=limit)


@dataclass(slots=True)
class Calls:
    """All calls of one analysis. `cost_usd` sums up what they cost, failed ones too."""

    question: Question
    context: AnalysisContext
    cost_usd: float = 0.0
    later_failures: list[Failure] = field(default_factory=list)

    def asking(self, providers: Sequence[Provider]) -> None:
        """Tell that these are asked for an answer."""
        self._begin("answer", providers)

    async def answer(self, provider: Provider, limit: float) -> Answer | Failure:
        """Ask one for an answer, within `limit` seconds and its own time-out."""
        return await self._call(provider, AskAnswer(self.question, context=self.context, limit=limit), Answer)

    async def grades(
        self,
        work: Sequence[tuple[Provider, Answer, Sheet]],
        limit: float,
        names: Sequence[str],
        afford: Afford,
    ) -> list[dict[int, Grade]]:
        """Let each grade its sheet; `names` are the answers' providers. Empty where a call failed.

        What a reply lacks is asked for once more, where `afford` allows it and as much time as the reply took
        is left.
        """
        self._begin("grade", [p for p, _, _ in work])
        return await at_once(
            self._grade(Grader(p, own, names), sheet, limit, afford) for p, own, sheet in work
        )

    async def revisions(
        self, work: Sequence[tuple[Provider, Answer, Sequence[Critique]]], limit: float
    ) -> list[Answer | None]:
        """Send each its critiques; None where a call failed."""
        self._begin("revise", [p for p, _, _ in work])
        return await at_once(self._revise(p, own, critiques, limit) for p, own, critiques in work)

    def _begin(self, phase: Phase, providers: Sequence[Provider]) -> None:
        """Tell that a phase begins, where anybody takes part in it."""
        if providers:
            names = tuple(dict.fromkeys(p.name for p in providers))
            self.context.tell(Began(self.question.request_id, self.context.task_type, phase, names))

    async def _grade(self, grader: Grader, sheet: Sheet, limit: float, afford: Afford) -> dict[int, Grade]:
        clock = asyncio.get_running_loop().time
        began = clock()
        given, failure = await self._graded(grader, sheet, limit)
        took = clock() - began
        rest = sheet.rest(given)
        unreadable = failure is None or failure.kind is FailureKind.BAD_ANSWER  # others were retried already
        if (
            rest is None
            or not unreadable
            or limit - took < took
            or not await self._again(grader, rest, afford)
        ):
            self.later_failures += [failure] if failure is not None else []
            return given
        more, failure = await self._graded(grader, rest, limit - took)
        self.later_failures += [failure] if failure is not None else []
        return given | {s: given[s].filled(grade) if s in given else grade for s, grade in more.items()}

    async def _again(self, grader: Grader, rest: Sheet, afford: Afford) -> bool:
        """Whether `grader` may be asked for `rest`; where it may, that is told."""
        ask = shown(grader.ask(self.question, self.context, rest))
        if not await afford(worst_of_ask(grader.provider, ask)):
            return False
        subjects = tuple(grader.names[i] for i in rest.subjects)
        told = AskedAgain(self.question.request_id, self.context.task_type, grader.provider.name, subjects)
        self.context.tell(told)
        return True

    async def _graded(
        self, grader: Grader, sheet: Sheet, limit: float
    ) -> tuple[dict[int, Grade], Failure | None]:
        result = await self._call(
            grader.provider, grader.ask(self.question, self.context, sheet, limit), Grades
        )
        if isinstance(result, Failure):
            return {}, result
        return believed(sheet, result), None

    async def _revise(
        self, provider: Provider, own: Answer, critiques: Sequence[Critique], limit: float
    ) -> Answer | None:
        ask = AskRevision(self.question, own, critiques, context=self.context, limit=limit)
        result = await self._call(provider, ask, Answer)
        if isinstance(result, Failure):
            self.later_failures.append(result)
            return None
        return result

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
