"""Ask several providers at once, let them examine each other, and weigh what comes of it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.calibration import Calibration
from techsapo_ops.wallbounce.calls import Calls
from techsapo_ops.wallbounce.commands import read_table
from techsapo_ops.wallbounce.events import Abandoned, Event, Observer, Settled
from techsapo_ops.wallbounce.failures import Failure, FailureKind
from techsapo_ops.wallbounce.provider import Provider, worst_cost
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.run import BYTES_PER_TOKEN, Run
from techsapo_ops.wallbounce.tiers import TaskType, TierRule

__all__ = ["TierRule", "WallBounce"]

RETRY_LATER = 5.0
"""Seconds to wait after a fan-out in which every provider was busy or down and none said how long."""
DEADLINE = 120.0
MAX_BOUNCES = 2
FEWEST = 2
"""Providers without which nothing can be compared."""

Afford = Callable[[float], Awaitable[bool]]


def _unforeseeable() -> random.Random:
    return random.Random(secrets.randbits(64))  # noqa: S311 - order of peers, drawn so that no answer can foresee it


class WallBounce:
    """The orchestrator. `observers` hear every event, in order, on the event loop.

    `providers` are asked in this order, as many as the tier takes; the rest join blind where a tier is
    stepped up. `deadline` is the longest time of an analysis, in seconds. `usable` says whether a provider
    is worth asking now (its breaker is not open). `draw` gives the randomness of one analysis: who is shown
    to whom in which order.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        tiers: dict[TaskType, TierRule],
        *,
        per_request_usd: float | None = None,
        observers: Sequence[Observer] = (),
        calibration: Calibration | None = None,
        deadline: float = DEADLINE,
        max_bounces: int = MAX_BOUNCES,
        usable: Callable[[Provider], bool] = lambda _: True,
        draw: Callable[[], random.Random] = _unforeseeable,
    ) -> None:
        self._providers = tuple(providers)
        self._tiers = tiers
        self._per_request_usd = per_request_usd
        self._observers = tuple(observers)
        self.calibration = calibration or Calibration()
        self._deadline = deadline
        self._max_bounces = max_bounces
        self._usable = usable
        self._draw = draw
        read_table()

    def chosen(self, task_type: TaskType) -> tuple[Provider, ...]:
        """The providers that a question of `task_type` goes to first, when all are well."""
        return self._providers[: self._tiers[task_type].providers]

    def rule(self, task_type: TaskType) -> TierRule:
        """The rule of `task_type`."""
        return self._tiers[task_type]

    def worst_case(self, question: Question, task_type: TaskType) -> float:
        """Most USD that the answers and their grading can cost; bounces and escalations ask `afford` anew."""
        return _worst(self.chosen(task_type), question)

    async def analyse(
        self, question: Question, task_type: TaskType, *, afford: Afford | None = None
    ) -> Analysis:
        """Ask the tier's providers at once and settle on one answer, or on an honest refusal.

        A failing provider is left out; cancelling this cancels every call under way. `afford` is asked, with
        the most that it can cost in USD, before each bounce and escalation. Raises AnalysisError when there
        is no provider, when the worst case costs more than one request may, or when all fail.
        """
        try:
            return await self._analyse(question, task_type, afford)
        except AnalysisError as error:
            self._tell(Abandoned(question.request_id, task_type, error))
            raise

    async def _analyse(self, question: Question, task_type: TaskType, afford: Afford | None) -> Analysis:
        providers = tuple(p for p in self._providers if self._usable(p)) or self._providers
        if not providers:
            raise AnalysisError("no_provider", "no provider is available; see /api/v1/health")
        self._check_budget(providers[: self._tiers[task_type].providers], question)
        calls = Calls(question, task_type, self._tell)
        run = Run(
            calls,
            providers,
            self._tiers,
            self.calibration,
            draw=self._draw(),
            deadline=self._deadline,
            afford=self._purse(calls, afford),
            max_bounces=self._max_bounces,
            lonely=len(providers) < FEWEST,
        )
        if not await run.answers():
            raise _all_failed(run.failures)
        analysis = await run.settle()
        self._tell(Settled(question.request_id, analysis, run.agreement()))
        return analysis

    def _purse(self, calls: Calls, afford: Afford | None) -> Afford:
        """Whether more may be spent: within the limit of one request, and by who pays."""

        async def ask(usd: float) -> bool:
            limit = self._per_request_usd
            if limit is not None and calls.cost_usd + usd > limit:
                return False
            return afford is None or await afford(usd)

        return ask

    def _check_budget(self, providers: Sequence[Provider], question: Question) -> None:
        if self._per_request_usd is None:
            return
        worst = _worst(providers, question)
        if worst > self._per_request_usd:
            raise AnalysisError(
                "over_request_budget",
                f"this question may cost up to ${worst:.4f}, more than budget.per_request_usd "
                f"(${self._per_request_usd:.4f})",
            )

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer(event)


def _worst(providers: Sequence[Provider], question: Question) -> float:
    """Answers of all, then each grading all others."""
    longest = sum(p.max_output_tokens * BYTES_PER_TOKEN for p in providers)
    answers = sum(worst_cost(p, question) for p in providers)
    if len(providers) < FEWEST:
        return answers
    return answers + sum(
        worst_cost(p, question, longest - p.max_output_tokens * BYTES_PER_TOKEN) for p in providers
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
