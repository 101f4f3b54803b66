"""What one verdict leaves behind to learn from: who agreed, who graded whom, what was shown.

It holds no word of the question or of an answer. Numbers of answers are their places in `answers`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, TypeAdapter

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.question import TaskType, TierRule
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED, Outcome

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Place = Annotated[int, Field(ge=0, lt=16)]
Name = Annotated[str, Field(max_length=200)]
_WORD = re.compile(r"[^\W\d_]+")
_AT = "@"


@dataclass(frozen=True, slots=True)
class Member:
    """Who gave one of the answers, or checked the only one of a cascade."""

    model: Name
    version: Name
    """The vendor's name for the model that answered, "" where it says none."""
    family: Name
    agrees: bool | None
    """With the chosen answer; None where they were not compared, true of the chosen one itself."""

    @property
    def learnt_as(self) -> str:
        """Under which name labels teach something of it."""
        return versioned(self.model, self.version)


@dataclass(frozen=True, slots=True)
class PeerGrade:
    """The mean score, 0 to 1, that the author of the answer `grader` gave to `answer`."""

    grader: Place
    answer: Place
    score: Share


@dataclass(frozen=True, slots=True)
class PanelRecord:
    """One verdict, as far as anything can be learnt from it."""

    tier: TaskType
    answers: Annotated[tuple[Member, ...], Field(min_length=1, max_length=16)]
    grades: Annotated[tuple[PeerGrade, ...], Field(max_length=256)]
    chosen: Place
    agreement: Share
    grade: Share
    contradicted: bool
    complete: bool
    """Whether every grade came."""
    wanted_confidence: Share
    wanted_consensus: Share
    confidence: Share
    """As it was shown."""
    outcome: Outcome

    @property
    def models(self) -> tuple[str, ...]:
        """The models with their versions, in the order of the answers."""
        return tuple(member.learnt_as for member in self.answers)

    def scores(self) -> dict[int, float]:
        """The grades of the chosen answer, by grader."""
        return {g.grader: g.score for g in self.grades if g.answer == self.chosen}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A record and what became of its answer: right (1), partly right (.5) or wrong (0)."""

    record: PanelRecord
    right: float
    at: datetime
    weight: float = 1.0
    """Less than 1 where one person has said so much that each word counts for less."""


RECORD: TypeAdapter[PanelRecord] = TypeAdapter(PanelRecord)


def versioned(model: str, version: str) -> str:
    """The name of a model whose vendor says that `version` answered.

    A version is somebody else's word: it never makes a model one of another family.
    """
    return model if version in {"", model} else f"{model}{_AT}{version}"


def family_of(model: str) -> str:
    """The first word of a model's name: `claude` of `anthropic/claude-sonnet-5.5`, `gpt` of `gpt-6.1-sol`."""
    name = model.partition(_AT)[0].rpartition("/")[2]
    word = _WORD.match(name)
    return (word[0] if word else name).casefold()[:200]


def record_of(analysis: Analysis, rule: TierRule) -> PanelRecord:
    """What `analysis` leaves behind; `rule` is that of the tier it ended in."""
    verdict, voices = analysis.verdict, analysis.voices
    place = {provider: index for index, (provider, *_) in enumerate(voices)}
    relations = verdict.relations or (None,) * len(voices)
    return PanelRecord(
        analysis.tier,
        tuple(
            Member(model[:200], version[:200], family_of(model), agrees)
            for (_, model, version), agrees in zip(voices, relations, strict=True)
        ),
        tuple(
            PeerGrade(place[r.grader], place[r.subject], mean)
            for r in analysis.reviews
            if (mean := r.grade.mean) is not None
        ),
        verdict.chosen,
        verdict.agreement,
        verdict.grade,
        CONTRADICTED in verdict.notes,
        "grading_incomplete" not in verdict.notes,
        rule.confidence,
        rule.consensus,
        verdict.confidence,
        verdict.outcome,
    )


def dumps(record: PanelRecord) -> str:
    """`record` as one line of JSON."""
    return RECORD.dump_json(record).decode()


def loads(text: str | bytes) -> PanelRecord:
    """The record in `text`. Raises pydantic.ValidationError where it is none."""
    return RECORD.validate_json(text)
