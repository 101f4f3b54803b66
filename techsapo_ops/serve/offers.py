"""What each tier asks and costs, to be told before anything is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from techsapo_ops.errors import OpsError
from techsapo_ops.serve.bodies.tiers import AskedProviderBody, OfferBody, TiersBody
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.tiers import TIERS

log = structlog.get_logger()

FRESH = 60.0
"""Seconds for which this month's means are told again."""


class Offers:
    """Tells what the tiers of `wallbounce` ask and cost; `audit` knows what they did cost.

    `longest` is how many characters a question may have.
    """

    def __init__(self, wallbounce: WallBounce, audit: AuditLog, longest: int, *, simulated: bool) -> None:
        self._wallbounce = wallbounce
        self._audit = audit
        self._longest = longest
        self._simulated = simulated
        self._means: Mapping[str, tuple[float, int]] = {}
        self._read = -FRESH

    async def body(self, characters: int) -> TiersBody:
        """The tiers for a question of that many characters."""
        if time.monotonic() - self._read >= FRESH:
            self._read = time.monotonic()
            self._means = await asyncio.to_thread(self._mean_costs)
        question = Question("x" * min(characters, self._longest), "en")
        offers = []
        for tier in TIERS:
            rule = self._wallbounce.rule(tier)
            mean, count = self._means.get(tier, (None, 0))
            offers.append(
                OfferBody(
                    task_type=tier,
                    wanted=rule.providers,
                    providers=[
                        AskedProviderBody(name=p.name, model=p.model) for p in self._wallbounce.chosen(tier)
                    ],
                    confidence=rule.confidence,
                    consensus=rule.consensus,
                    most_usd=round(self._wallbounce.worst_case(question, tier), 6),
                    mean_usd=None if mean is None else round(mean, 9),
                    asked=count,
                )
            )
        return TiersBody(simulated=self._simulated, tiers=offers)

    def _mean_costs(self) -> Mapping[str, tuple[float, int]]:
        first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        try:
            return self._audit.mean_costs(first, simulated=self._simulated)
        except OpsError as error:
            log.warning("Costs can not be read", error=error.message)
            return {}
