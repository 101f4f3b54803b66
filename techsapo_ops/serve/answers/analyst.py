"""One analysis that is paid for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from techsapo_ops.serve.answers.answer_body import answer_document
from techsapo_ops.serve.answers.audit_trail import AuditedRequest
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.answers.spending import Spending
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.metrics.tracing import UNTRACED, Tracing
from techsapo_ops.stores.budget_ledger import NANO, nano
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.context import Observer
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import PASSING
from techsapo_ops.wallbounce.question import TIERS, Question
from techsapo_ops.wallbounce.run import OUT_OF_TIME

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Analyst:
    """Lets `wallbounce` analyse questions, each of them for `per_request_usd` at most, from the budgets."""

    wallbounce: WallBounce
    spending: Spending
    per_request_usd: float | None
    tracing: Tracing = UNTRACED

    async def analyse(
        self, question: Question, request: AuditedRequest, hear: Observer
    ) -> tuple[Document, bool]:
        """The answer, and whether it is as good as it can be: what failed, or was cut short, may pass.

        `hear` gets the events on the way.
        What it may cost at worst is reserved before, and what it did cost is booked after, also of one that
        fails or is cancelled. Raises AnalysisError, or Problem where no budget has room for it.
        """
        task_type = request.task_type
        account = request.account = Account.of(self.spending, request.caller.key, request.request_id)
        memory = request.memory
        worst = self.wallbounce.worst_case(question, task_type)
        with self.tracing.analysis(task_type, request.request_id) as traced:
            try:
                if memory is not None:
                    await memory.begin(account, request.request_id)
                # Above the limit, the analysis itself refuses before it spends.
                if self.per_request_usd is None or worst <= self.per_request_usd:
                    await account.open(worst)
                analysis: Analysis = await self.wallbounce.analyse(
                    question,
                    task_type,
                    payer=account,
                    hear=(traced, hear),
                    wait=request.wait,
                    memory=memory,
                )
            finally:
                await asyncio.shield(account.close() if memory is None else memory.close(account))
        answer = answer_document(analysis, self.wallbounce, request.request_id, account)
        answer["processing_ms"] = request.elapsed_ms()
        answer["masked"] = dict(request.masked)
        return answer, not (account.short or _cut_short(analysis))


def _cut_short(analysis: Analysis) -> bool:
    """Whether the same question may get a better answer soon: a provider failed, or there was no more time.

    A grading that can't be read comes again as it is; one that was late or turned away need not.
    """
    late = any(failure.kind in PASSING for failure in analysis.later_failures)
    return bool(analysis.failures) or late or OUT_OF_TIME in analysis.verdict.notes


def tell_of_tiers(wallbounce: WallBounce, spending: Spending) -> None:
    """Log each tier whose shortest question may cost more than a whole budget: all of them are refused."""
    for tier in TIERS if spending.counts else ():
        usd = wallbounce.worst_case(Question("", "en"), tier)
        ledger = next((each for each in spending.ledgers() if nano(usd) > each.limit), None)
        if ledger is not None:
            log.warning(
                "Every question of this tier is declined: it may cost more than the whole budget. Raise "
                "budget.daily_usd and monthly_usd, or lower the providers' max_output_tokens",
                taskType=tier,
                cost=round(usd, 2),
                period=ledger.period,
                limit=round(ledger.limit / NANO, 2),
            )
