"""Investigations by a real model: whatever it makes of the evidence, each ends by its deadline."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from techsapo_ops.incidents.verdict import verdict_of
from techsapo_ops.masking.masker import Masker
from techsapo_ops.serve.incidents.panel import Opinions, Panel
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.context import Charge
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.registry import build_registry
from techsapo_ops.wallbounce.question import policy_of
from tests.incidents.panels.panel_cases import Case, cases

ASKED = {"redis_at_maxmemory": 240.0, "dns_in_japanese": 240.0, "unsolvable_nothing_but_the_alert": 20.0}
"""Incidents by name, and the deadline of each in seconds; the last one is too short on purpose."""
OUTPUT = 512
"""Tokens of a reply."""


class Free:
    """A purse for a model that costs nothing."""

    async def open(self, usd: float) -> None:
        assert usd == 0

    async def close(self) -> None:
        """Nothing was reserved."""

    async def afford(self, usd: float) -> bool:
        return True

    async def hold(self, usd: float) -> int:
        return 0

    def book(self, held: int, charge: Charge) -> None:
        """It is free."""


def investigated(spec_file: Path) -> tuple[str, list[str]]:
    """What became of each incident, and those whose investigation did not end in time."""
    document = yaml.safe_load(spec_file.read_text("utf-8"))
    for section in document["providers"].values():
        section["max_output_tokens"] = OUTPUT
    spec = Spec.model_validate(document)
    said, late = [], []
    for case in cases():
        if case.name in ASKED:
            opinions, took = asyncio.run(_asked(spec, case, ASKED[case.name]))
            verdict = verdict_of(opinions.findings, case.inquiry)
            parts = [f"{case.name}: {verdict.outcome} after {took:.0f} s of {ASKED[case.name]:.0f}"]
            parts += [f"{verdict.asked} replies could be read", f"{verdict.invented} causes weighed nothing"]
            parts += [f"{failure.provider} {failure.kind}" for failure in opinions.failures]
            said.append(", ".join(parts))
            late += [case.name] if took > ASKED[case.name] else []
    return "; ".join(said), late


async def _asked(spec: Spec, case: Case, limit: float) -> tuple[Opinions, float]:
    registry = build_registry(spec, {})
    try:
        panel = Panel(WallBounce(registry.usable, policy_of(spec)), "basic")
        began = time.monotonic()
        opinions = await panel.ask(case.inquiry, case.name, Masker("off"), Free(), limit)
        return opinions, time.monotonic() - began
    finally:
        await registry.close()
