"""One analysis that is paid for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from techsapo_ops.serve.answer_body import answer_body
from techsapo_ops.serve.audit_trail import AuditedRequest
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.metering import Account
from techsapo_ops.serve.spending import Spending
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.events import Observer
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.tiers import TIERS


class Analyst:
    """Lets `wallbounce` analyse questions, each of them for `per_request_usd` at most, from the budgets."""

    def __init__(self, wallbounce: WallBounce, spending: Spending, per_request_usd: float | None) -> None:
        self._wallbounce = wallbounce
        self._spending = spending
        self._limit = per_request_usd

    async def analyse(
        self, question: Question, request: AuditedRequest, hear: Observer
    ) -> tuple[AnswerBody, bool]:
        """The answer, and whether every provider that was asked had a part in it.

        `hear` is told of what happens on the way.
        What it may cost at worst is reserved before, and what it did cost is booked after, also of one that
        fails or is cancelled. Raises AnalysisError, or Problem where no budget has room for it.
        """
        task_type = request.task_type
        account = request.account = Account.of(self._spending, request.caller.key, request.request_id)
        worst = self._wallbounce.worst_case(question, task_type)
        try:
            if self._limit is None or worst <= self._limit:  # else the analysis refuses before it spends
                await account.open(worst)
            analysis: Analysis = await self._wallbounce.analyse(question, task_type, payer=account, hear=hear)
        finally:
            await asyncio.shield(account.close())
        answer = answer_body(analysis, self._wallbounce, request.request_id, account)
        answer.processing_ms = request.elapsed_ms()
        answer.masked = dict(request.masked)
        return answer, not analysis.failures


def setting_of(wallbounce: WallBounce, providers: Sequence[Provider], version: str) -> str:
    """What answers depend on beside the question: version, providers, thresholds and calibration.

    All tiers and providers: an analysis may step up to those above its own.
    """
    tiers = [[r.providers, r.confidence, r.consensus] for r in map(wallbounce.rule, TIERS)]
    models = [f"{p.name}={p.kind}/{p.model}" for p in providers]
    return json.dumps([version, models, tiers, wallbounce.calibration.key])
