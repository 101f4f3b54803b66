"""Ask several providers at once, let them examine each other, and weigh what comes of it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence

from techsapo_ops.catalogue.dangers import signs
from techsapo_ops.masking.masker import places_of
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.calls import Afford, Calls, Turn, cheapest, in_order
from techsapo_ops.wallbounce.context import (
    Abandoned,
    AnalysisContext,
    Event,
    Memory,
    Observer,
    Payer,
    Settled,
    VendorWait,
)
from techsapo_ops.wallbounce.providers.failures import PASSING, Failure
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.prices import worst_of_cascade, worst_of_tier
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.question import CASCADE, HANDED_TO, Policy, Question, TaskType, TierRule
from techsapo_ops.wallbounce.run import Run
from techsapo_ops.wallbounce.verdict.calibration import Calibration

RETRY_LATER = 5.0
"""Seconds to wait after a fan-out in which every provider was busy or down and none said how long."""


def _unforeseeable() -> random.Random:
    return random.Random(secrets.randbits(64))  # noqa: S311 - order of peers, drawn so that no answer can foresee it


class WallBounce:
    """The orchestrator. `observers` hear every event, in order, on the event loop.

    `providers` are asked in this order, as many as the tier takes; the rest are its spares, and join blind
    where a tier is stepped up. `turn` says whether a provider may be asked now. `draw` gives the randomness
    of one analysis: who is shown to whom in which order.
    """

    def __init__(
        self,
        providers: Sequence[Guarded],
        policy: Policy,
        *,
        observers: Sequence[Observer] = (),
        calibration: Calibration | None = None,
        turn: Callable[[Provider], Turn] = lambda _: Turn.WELL,
        draw: Callable[[], random.Random] = _unforeseeable,
    ) -> None:
        self._providers: tuple[Provider, ...] = tuple(providers)
        self._policy = policy
        self._observers = tuple(observers)
        self.calibration = calibration or Calibration()
        self._turn = turn
        self._draw = draw
        signs()  # now, so that the first question waits for neither table
        places_of("secrets")

    def chosen(self, task_type: TaskType) -> tuple[Provider, ...]:
        """The providers that a question of `task_type` goes to first now; none of them is left alone."""
        order = self._in_order(task_type)
        return (cheapest(order) if task_type == CASCADE else order)[: self.rule(task_type).providers]

    def rule(self, task_type: TaskType) -> TierRule:
        """The rule of `task_type`."""
        return self._policy.tiers[task_type]

    def worst_case(self, question: Question, task_type: TaskType) -> float:
        """Most USD that the answers and their grading can cost; bounces and escalations come on top.

        A cascade may hand over to its panel, which is part of it.
        """
        return self._worst(self._in_order(task_type), question, task_type)

    def _worst(self, order: Sequence[Provider], question: Question, task_type: TaskType) -> float:
        size = self.rule(self._panel(task_type)).providers
        return (
            worst_of_cascade(cheapest(order), order, size, question)
            if task_type == CASCADE
            else worst_of_tier(order[:size], question)
        )

    def _panel(self, task_type: TaskType) -> TaskType:
        return HANDED_TO if task_type == CASCADE else task_type

    async def analyse(
        self,
        question: Question,
        task_type: TaskType,
        *,
        payer: Payer | None = None,
        hear: Sequence[Observer] = (),
        wait: VendorWait | None = None,
        memory: Memory | None = None,
    ) -> Analysis:
        """Ask the tier's providers at once and settle on one answer, or decline with the reason.

        A failing provider is left out; cancelling this cancels every call under way. `payer` pays for the
        calls, and is asked before each bounce and escalation whether it can. `hear` are told of the events
        of this analysis, after the observers; `wait` counts how long vendors are waited for; `memory` knows
        what an instance that died was answered to this question. Raises AnalysisError when there is no
        provider, when the worst case costs more than one request may, or when all fail.
        """

        def tell(event: Event) -> None:
            for observer in (*self._observers, *hear):
                observer(event)

        context = AnalysisContext(task_type, tell, payer, memory, wait or VendorWait())
        try:
            return await self._analyse(question, context)
        except AnalysisError as error:
            tell(Abandoned(question.request_id, task_type, error))
            raise

    async def _analyse(self, question: Question, context: AnalysisContext) -> Analysis:
        memory = context.memory
        providers = self._in_order(context.task_type, () if memory is None else memory.answered)
        if not providers:
            raise AnalysisError("no_provider", msg("no provider is available; see /api/v1/health"))
        self._check_budget(self._worst(providers, question, context.task_type))
        calls = Calls(question, context)
        draw = self._draw() if memory is None else random.Random(memory.seed)  # noqa: S311 - drawn as above
        run = Run(calls, providers, self._policy, self.calibration, draw, self._afford(calls))
        if not await run.answers():
            raise _all_failed(run.failures)
        analysis = await run.settle()
        context.tell(Settled(question.request_id, analysis, run.agreement()))
        return analysis

    def _in_order(self, task_type: TaskType, answered: Sequence[str] = ()) -> tuple[Provider, ...]:
        """The providers in the order in which they are asked now; those that have `answered` come first."""
        order = in_order(self._providers, self._turn, self.rule(self._panel(task_type)).providers)
        known = tuple(p for p in self._providers if p.name in answered)
        return (*known, *(p for p in order if p not in known))

    def _afford(self, calls: Calls) -> Afford:
        """Whether more may be spent: within the limit of one request, and by who pays."""

        async def afford(usd: float) -> bool:
            limit, payer = self._policy.per_request_usd, calls.context.payer
            if limit is not None and calls.cost_usd + usd > limit:
                return False
            return payer is None or await payer.afford(usd)

        return afford

    def _check_budget(self, worst: float) -> None:
        limit = self._policy.per_request_usd
        if limit is not None and worst > limit:
            raise AnalysisError(
                "over_request_budget",
                msg(
                    "this question may cost up to ${worst:.4f}, more than budget.per_request_usd "
                    "(${limit:.4f})",
                    worst=worst,
                    limit=limit,
                ),
            )


def _all_failed(failures: tuple[Failure, ...]) -> AnalysisError:
    reasons = ", ".join(f"{f.provider}: {f.kind}" for f in failures)
    retry_after = None
    if any(f.kind in PASSING for f in failures):
        waits = [f.retry_after for f in failures if f.retry_after is not None]
        retry_after = min(waits) if waits else RETRY_LATER
    return AnalysisError(
        "providers_failed",
        msg("every provider failed ({reasons})", reasons=reasons),
        failures=failures,
        retry_after=retry_after,
    )
