"""Many analyses with simulated providers. What is true is known here alone, never to the orchestrator."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scripted import USUAL_TIERS
from virtual import run

from techsapo_ops.spec.models.providers import SimulatedProvider
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.simulated import Habits, Simulated, knowledge
from techsapo_ops.wallbounce.question import Policy, Question, TaskType


@dataclass(frozen=True, slots=True)
class Setting:
    """Knobs of the simulator. By default graders see everything: only the answers matter then."""

    accuracy: float
    correlation: float = 0.0
    same_wrong: float = 0.0
    true_positive: float = 1.0
    false_positive: float = 0.0

    def providers(self, count: int, seed: int) -> tuple[Simulated, ...]:
        """`count` providers with seeds of their own."""
        return tuple(
            Simulated(
                f"p{n}",
                SimulatedProvider(kind="simulated", seed=seed * 100 + n, accuracy=self.accuracy),
                habits=Habits(self.correlation, self.same_wrong, self.true_positive, self.false_positive),
            )
            for n in range(count)
        )


def right(question: Question, answer: Answer) -> bool:
    """The truth."""
    known = knowledge()
    return known.topics[known.right(question.text)].claims("ja")[0] in answer.text


def questions(count: int, seed: int) -> list[Question]:
    """Questions about every topic in turn; other seeds have other questions."""
    words = [t.match[0] if t.match else "不明" for t in knowledge().topics]
    return [Question(f"{words[n % len(words)]} 質問{seed}-{n}", "ja", f"{seed}-{n}") for n in range(count)]


def analyses(
    providers: Sequence[Provider], asked: Iterable[Question], tier: TaskType, **limits: Any
) -> list[Analysis]:
    """One analysis after the other, without a second of waiting."""

    async def main() -> list[Analysis]:
        rng = random.Random(7)
        policy = Policy(**{"tiers": USUAL_TIERS, **limits})
        bounce = WallBounce([*map(Guarded, providers)], policy, draw=lambda: random.Random(rng.random()))
        return [await bounce.analyse(question, tier) for question in asked]

    return run(main())[0]
