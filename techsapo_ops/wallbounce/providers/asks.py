"""What a provider is asked, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.events import Phase
from techsapo_ops.wallbounce.examination.delimiting import size
from techsapo_ops.wallbounce.examination.grades import Critique, Grades, Peer
from techsapo_ops.wallbounce.question import Question


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every ask has."""

    question: Question
    context: AnalysisContext = field(default=AnalysisContext(), kw_only=True)
    """The analysis that the call is part of."""
    limit: float = field(default=inf, kw_only=True)
    """Seconds that the analysis waits, beside the provider's own time-out."""
    due: float = field(default=inf, kw_only=True)
    """When the provider is late by its own time-out, in the event loop's time."""


@dataclass(frozen=True, slots=True)
class AskAnswer(_Asked):
    """Answer the question, without a look at anybody else's answer. The reply is an Answer."""

    phase: ClassVar[Phase] = "answer"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return 0


@dataclass(frozen=True, slots=True)
class AskGrades(_Asked):
    """Grade the peers' answers, measured by the `own` answer where there is one. The reply is Grades.

    Peer text reaches the vendor as delimited data, never as an instruction.
    """

    peers: Sequence[Peer]
    own: Answer | None = None
    phase: ClassVar[Phase] = "grade"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        peers = sum(size(p.text, p.root_cause, *p.claims, *p.commands) for p in self.peers)
        return peers + (answer_size(self.own) if self.own is not None else 0)


@dataclass(frozen=True, slots=True)
class AskRevision(_Asked):
    """Answer once more, knowing what peers hold against the `own` answer. The reply is an Answer."""

    own: Answer
    critiques: Sequence[Critique]
    phase: ClassVar[Phase] = "revise"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return sum(size(c.claim, c.objection) for c in self.critiques) + answer_size(self.own)


Ask = AskAnswer | AskGrades | AskRevision
Reply = Answer | Grades


def answer_size(answer: Answer) -> int:
    """Bytes of `answer` where it is shown to others."""
    return size(answer.text, answer.root_cause, *answer.claims, *answer.commands)
