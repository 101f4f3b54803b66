"""An analysis that another instance began: nobody is asked again who has replied to that very question."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from scripted import Scripted, climbing

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import parts_of
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("the disk is full", "en")
_DRAWS = itertools.count(1)


@dataclass
class Kept:
    """What is known of an analysis, in memory."""

    replies: dict[str, Any] = field(default_factory=dict)
    begun: list[tuple[str, float]] = field(default_factory=list)
    ends: list[tuple[str, float, Any]] = field(default_factory=list)
    seed: int = 7

    @property
    def answered(self) -> Sequence[str]:
        return [name for phase, name, _ in map(parts_of, self.replies) if phase == "answer"]

    def reply(self, call: str) -> Any | None:
        return self.replies.get(call)

    async def asking(self, call: str, usd: float) -> None:
        self.begun.append((call, usd))

    async def ended(self, call: str, usd: float, reply: Any | None = None) -> None:
        assert call in [name for name, _ in self.begun], "it was written down before it was made"
        self.ends.append((call, usd, reply))


def analysed(memory: Kept, question: Question = QUESTION, **scripts: Any) -> Analysis:
    said = {"a": "the root cause is df", "b": "it is inodes", "c": "it is df", **scripts}
    # Each instance draws otherwise: what the memory has decides.
    bounce, _ = climbing(
        *(Scripted(name, script) for name, script in said.items()), draw=lambda: random.Random(next(_DRAWS))
    )
    return asyncio.run(bounce.analyse(question, "premium", memory=memory))


def test_all_that_was_replied_comes_again_and_nobody_is_asked() -> None:
    first = Kept()
    before = analysed(first)
    assert len(first.begun) == len(first.ends) > 3
    worst = dict(first.begun)
    assert all(worst[call] >= cost > 0 for call, cost, _ in first.ends)
    again = Kept({call: reply for call, _, reply in first.ends})
    after = analysed(again)
    assert again.begun == []
    assert after.verdict == before.verdict
    assert [answer.text for answer in after.answers] == [answer.text for answer in before.answers]


def test_only_who_has_not_replied_is_asked() -> None:
    first = Kept()
    analysed(first)
    known = {
        call: reply
        for call, _, reply in first.ends
        if parts_of(call)[:2] in {("answer", "a"), ("answer", "c")}
    }
    again = Kept(known)
    analysed(again)
    assert [parts_of(call)[1] for call, _ in again.begun if call.startswith("answer")] == ["b"]


def test_another_question_and_a_reply_of_another_form_are_asked_anew() -> None:
    first = Kept()
    analysed(first)
    replies = {call: reply for call, _, reply in first.ends}
    other = Kept(replies)
    analysed(other, Question("the disk is slow", "en"))
    assert len(other.begun) == len(first.begun)
    of_another_form = Kept({call: {"said": 1} for call in replies})
    analysed(of_another_form)
    assert len(of_another_form.begun) == len(first.begun)


def test_what_failed_is_kept_with_its_cost_and_without_a_reply() -> None:
    async def fails() -> str:
        raise ProviderError(FailureKind.UNAVAILABLE, "half an answer", cost_usd=0.5)

    memory = Kept()
    analysed(memory, b=fails)
    ends = [(usd, reply) for call, usd, reply in memory.ends if parts_of(call)[1] == "b"]
    assert (pytest.approx(0.5), None) in ends
