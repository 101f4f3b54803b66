"""Calls to providers within one analysis: who answers in a tier's slots, all at once, costs added up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf
from typing import Any, TypeVar

from techsapo_ops.wallbounce.answers import Answer, Critique, Grade, Grades
from techsapo_ops.wallbounce.context import AnalysisContext, AskedAgain, Began, Event, Graded, Phase, SatIn
from techsapo_ops.wallbounce.examination.examination import Candidate, GradingForm, believed
from techsapo_ops.wallbounce.examination.shown import masked, shown
from techsapo_ops.wallbounce.providers.failures import Cause, Failure, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.prices import PROMPT_OVERHEAD, worst_cost, worst_of_ask
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer, AskGrades, AskRevision, Provider
from techsapo_ops.wallbounce.question import Question

T = TypeVar("T")
R = TypeVar("R", Answer, Grades)


Afford = Callable[[float], Awaitable[bool]]
"""Whether so many USD more may be spent."""


@dataclass(frozen=True, slots=True)
class Grader:
    """Who grades, by what answer of its own, if any; `names` are the providers of all answers."""

    provider: Provider
    own: Answer | None
    names: Sequence[str]

    def ask(
        self, question: Question, context: AnalysisContext, form: GradingForm, limit: float = inf
    ) -> AskGrades:
        """What it is asked with `form`."""
        labelled = {p.label: self.names[i] for p, i in zip(form.peers, form.subjects, strict=True)}
        context = _naming(context, labelled)
        return AskGrades(question, form.peers, self.own, context=context, limit=limit)


@dataclass(slots=True)
class Calls:
    """All calls of one analysis. `cost_usd` sums up what they cost, failed ones too; `versions` are those
    of the models that replied last, by provider.
    """

    question: Question
    context: AnalysisContext
    cost_usd: float = 0.0
    later_failures: list[Failure] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    async def answer(self, provider: Provider, limit: float) -> Answer | Failure:
        """Ask one for an answer, within `limit` seconds and its own time-out."""
        return await self._call(provider, AskAnswer(self.question, context=self.context, limit=limit), Answer)

    async def grades(
        self,
        work: Sequence[tuple[Provider, Answer | None, GradingForm]],
        limit: float,
        names: Sequence[str],
        afford: Afford,
    ) -> list[dict[int, Grade]]:
        """Let each fill in its form; `names` are the answers' providers. Empty where a call failed.

        What a reply lacks is asked for once more, where `afford` allows it and as much time as the reply took
        is left.
        """
        self.begin("grade", [p for p, _, _ in work])
        return await at_once(self._grade(Grader(p, own, names), form, limit, afford) for p, own, form in work)

    async def revisions(
        self, work: Sequence[tuple[Provider, Answer, Sequence[Critique]]], limit: float
    ) -> list[Answer | None]:
        """Send each its critiques; None where a call failed."""
        self.begin("revise", [p for p, _, _ in work])
        return await at_once(self._revise(p, own, critiques, limit) for p, own, critiques in work)

    def begin(self, phase: Phase, providers: Sequence[Provider]) -> None:
        """Tell that a phase begins, where anybody takes part in it."""
        if providers:
            names = tuple(dict.fromkeys(p.name for p in providers))
            self.context.tell(Began(self.question.request_id, self.context.task_type, phase, names))

    async def _grade(
        self, grader: Grader, form: GradingForm, limit: float, afford: Afford
    ) -> dict[int, Grade]:
        clock = asyncio.get_running_loop().time
        began = clock()
        given, failure = await self._graded(grader, form, limit)
        took = clock() - began
        rest = form.rest(given)
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

    async def _again(self, grader: Grader, rest: GradingForm, afford: Afford) -> bool:
        """Whether `grader` may be asked for `rest`; if so, an event says it."""
        ask = shown(grader.ask(self.question, self.context, rest))
        if not await afford(worst_of_ask(grader.provider, ask)):
            return False
        subjects = tuple(grader.names[i] for i in rest.subjects)
        event = AskedAgain(self.question.request_id, self.context.task_type, grader.provider.name, subjects)
        self.context.tell(event)
        return True

    async def _graded(
        self, grader: Grader, form: GradingForm, limit: float
    ) -> tuple[dict[int, Grade], Failure | None]:
        result = await self._call(
            grader.provider, grader.ask(self.question, self.context, form, limit), Grades
        )
        if isinstance(result, Failure):
            return {}, result
        return believed(form, result), None

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
            reply = await provider.call(shown(await masked(ask)))
        except ProviderError as error:
            self.cost_usd += error.cost_usd
            return Failure.of(provider.name, provider.model, error)
        self.cost_usd += reply.cost_usd
        self.versions[provider.name] = reply.version
        if not isinstance(reply, wanted):
            raise TypeError(f"{provider.name} was asked to {ask.phase} and replied {type(reply).__name__}")
        return reply


def _naming(context: AnalysisContext, labelled: Mapping[str, str]) -> AnalysisContext:
    """`context` with the provider of each label. A grader never learns it: an ask holds labels alone."""

    def tell(event: Event) -> None:
        if isinstance(event, Graded):
            event = replace(event, subjects=tuple(labelled.get(label, "") for label in event.subjects))
        context.tell(event)

    return AnalysisContext(context.task_type, tell, context.payer, context.memory, context.wait)


async def at_once(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of `work` returns, done at the same time; where one raises, the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]


Came = list[tuple[Provider, Candidate | Failure]]
"""Who was asked, in this order, and what came of it."""


class Turn(Enum):
    """Whether a provider's turn has come."""

    WELL = "well"
    DUE = "due"
    """It is down, and may be tried again."""
    RESTING = "resting"
    """It is down, and left alone for now."""


def in_order(
    providers: Sequence[Provider], turn: Callable[[Provider], Turn], slots: int
) -> tuple[Provider, ...]:
    """Who is asked first, second and so on, where `slots` of them answer: none that rests, unless all do.

    One that is due and has no slot gets the last one while the others are well: nobody would ask a spare
    else, and a spare that failed during an outage would stay down for ever. Who made way is the first spare.
    None is tried that costs more than all of them: the budget may have no room for it.
    """
    awake = [p for p in providers if turn(p) is not Turn.RESTING] or list(providers)
    dearest = max((_price(p) for p in awake[:slots]), default=0.0)
    due = [p for p in awake[slots:] if turn(p) is Turn.DUE and _price(p) <= dearest]
    if due and slots > 1 and all(turn(p) is Turn.WELL for p in awake[:slots]):
        awake.remove(due[0])
        awake.insert(slots - 1, due[0])
    return tuple(awake)


_READ, _WRITTEN = 2_000, 1_000
"""Tokens of a usual call, by which prices are compared; the most that one can cost depends on its limits."""


def cheapest(providers: Sequence[Provider], answered: Sequence[str] = ()) -> tuple[Provider, ...]:
    """`providers` by the price of a usual call, those without a known price last.

    What was `answered` before an instance died comes first: it is paid.
    """

    def place(provider: Provider) -> tuple[bool, bool, float]:
        price = provider.price
        return provider.name not in answered, not price.known, price.most(_READ, _WRITTEN)

    return tuple(sorted(providers, key=place))


def _price(provider: Provider) -> float:
    """Most that an answer to a short question can cost."""
    return provider.price.most(PROMPT_OVERHEAD, provider.max_output_tokens)


class Slots:
    """The slots of one analysis, which providers fill. A spare is as blind as everybody who answers.

    It is asked at once, while `afford` allows what it can cost and `least` seconds are left.
    """

    def __init__(self, calls: Calls, afford: Afford, least: float) -> None:
        self._calls = calls
        self._afford = afford
        self._least = least

    async def filled(self, providers: Sequence[Provider], spares: Sequence[Provider], limit: float) -> Came:
        """What comes of all, who answer at the same time within `limit` seconds, slot by slot."""
        self._calls.begin("answer", providers)
        until, left = asyncio.get_running_loop().time() + limit, deque(spares)
        slots = await at_once(self._fill(p, left, until) for p in providers)
        return [each for slot in slots for each in slot]

    async def _fill(self, provider: Provider, spares: deque[Provider], until: float) -> Came:
        clock = asyncio.get_running_loop().time
        came: Came = []
        asked: Provider | None = provider
        while asked is not None:
            result = await self._calls.answer(asked, max(0.0, until - clock()))
            if isinstance(result, Answer):  # looked through now, while others are waited for
                return [*came, (asked, Candidate.of(result, self._calls.question.language))]
            came.append((asked, result))
            asked = await self._spare(result, spares) if until - clock() >= self._least else None
        return came

    async def _spare(self, failure: Failure, spares: deque[Provider]) -> Provider | None:
        """The next of `spares`, where there is money for it."""
        while spares and failure.cause is not Cause.BUDGET:
            spare = spares[0]
            fits = await self._afford(worst_cost(spare, self._calls.question))
            if spares and spares[0] is spare:  # else another slot took it meanwhile
                if not fits:
                    return None
                spares.popleft()
                question, task = self._calls.question, self._calls.context.task_type
                self._calls.context.tell(SatIn(question.request_id, task, failure, spare.name))
                return spare
        return None
