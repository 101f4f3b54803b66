"""Ask several providers at once and weigh their answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from techsapo_ops.wallbounce.events import Abandoned, Answered, Cancelled, Event, Failed, Observer, Settled
from techsapo_ops.wallbounce.model import (
    Analysis,
    AnalysisError,
    Answer,
    Failure,
    FailureKind,
    ProviderError,
    Question,
    TaskType,
)
from techsapo_ops.wallbounce.provider import MAX_ANSWER, Provider, worst_cost
from techsapo_ops.wallbounce.similarity import pairwise
from techsapo_ops.wallbounce.verdict import settle

RETRY_LATER = 5.0
"""Seconds to wait after a fan-out in which every provider was busy or down and none said how long."""


@dataclass(frozen=True, slots=True)
class TierRule:
    """How many providers answer, and the scores that an accepted answer needs (0 to 1)."""

    providers: int
    confidence: float
    consensus: float


class WallBounce:
    """The orchestrator. `observers` hear every event, in order, on the event loop."""

    def __init__(
        self,
        providers: Sequence[Provider],
        tiers: dict[TaskType, TierRule],
        *,
        per_request_usd: float | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._providers = tuple(providers)
        self._tiers = tiers
        self._per_request_usd = per_request_usd
        self._observers = tuple(observers)

    def chosen(self, task_type: TaskType) -> tuple[Provider, ...]:
        """The providers that a question of `task_type` goes to."""
        return self._providers[: self._tiers[task_type].providers]

    def rule(self, task_type: TaskType) -> TierRule:
        """The rule of `task_type`."""
        return self._tiers[task_type]

    async def analyse(self, question: Question, task_type: TaskType) -> Analysis:
        """Ask the tier's providers at once and settle on one answer.

        A failing provider is left out; cancelling this cancels every call under way. Raises AnalysisError
        when there is no provider, when the worst case costs more than one request may, or when all fail.
        """
        try:
            return await self._analyse(question, task_type)
        except AnalysisError as error:
            self._tell(Abandoned(question.request_id, task_type, error))
            raise

    async def _analyse(self, question: Question, task_type: TaskType) -> Analysis:
        started = time.perf_counter()
        providers = self.chosen(task_type)
        if not providers:
            raise AnalysisError("no_provider", "no provider is available; see /api/v1/health")
        self._check_budget(providers, question)
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(self._ask(p, question, task_type)) for p in providers]
        results = [call.result() for call in calls]
        answers = tuple(r for r in results if isinstance(r, Answer))
        failures = tuple(r for r in results if isinstance(r, Failure))
        if not answers:
            raise _all_failed(failures)
        rule = self._tiers[task_type]
        similarity = pairwise([a.text for a in answers])
        verdict = settle(answers, similarity, confidence=rule.confidence, consensus=rule.consensus)
        analysis = Analysis(
            question=question,
            task_type=task_type,
            answers=answers,
            failures=failures,
            verdict=verdict,
            simulated=any(p.kind == "simulated" for p in providers),
            cost_usd=sum(a.cost_usd for a in answers),
            seconds=time.perf_counter() - started,
        )
        agreement = tuple(
            ((answers[i].provider, answers[j].provider), value) for (i, j), value in similarity.items()
        )
        self._tell(Settled(question.request_id, analysis, agreement))
        return analysis

    def _check_budget(self, providers: Sequence[Provider], question: Question) -> None:
        if self._per_request_usd is None:
            return
        worst = sum(worst_cost(p, question) for p in providers)
        if worst > self._per_request_usd:
            raise AnalysisError(
                "over_request_budget",
                f"this question may cost up to ${worst:.4f}, more than budget.per_request_usd "
                f"(${self._per_request_usd:.4f})",
            )

    async def _ask(self, provider: Provider, question: Question, task_type: TaskType) -> Answer | Failure:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(provider.timeout):
                answer = await provider.answer(question)
            _check(answer)
        except ProviderError as error:
            kind, message, retry_after = error.kind, error.message, error.retry_after
        except asyncio.CancelledError:
            spent = time.perf_counter() - started
            self._tell(Cancelled(question.request_id, task_type, provider.name, provider.model, spent))
            raise
        except TimeoutError:
            kind, retry_after = FailureKind.TIMEOUT, None
            message = f"no answer within {provider.timeout:g} s"
        else:
            self._tell(Answered(question.request_id, task_type, answer))
            return answer
        failure = Failure(
            provider.name, provider.model, kind, message, time.perf_counter() - started, retry_after
        )
        self._tell(Failed(question.request_id, task_type, failure))
        return failure

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer(event)


def _check(answer: Answer) -> None:
    if not answer.text.strip():
        raise ProviderError(FailureKind.BAD_ANSWER, "the answer is empty")
    if len(answer.text) > MAX_ANSWER:
        raise ProviderError(
            FailureKind.BAD_ANSWER,
            f"the answer has {len(answer.text)} characters, more than {MAX_ANSWER}",
        )


def _all_failed(failures: tuple[Failure, ...]) -> AnalysisError:
    told = ", ".join(f"{f.provider}: {f.kind}" for f in failures)
    passing = {FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE, FailureKind.TIMEOUT}
    retry_after = None
    if any(f.kind in passing for f in failures):
        waits = [f.retry_after for f in failures if f.retry_after is not None]
        retry_after = min(waits) if waits else RETRY_LATER
    return AnalysisError(
        "providers_failed", f"every provider failed ({told})", failures=failures, retry_after=retry_after
    )
