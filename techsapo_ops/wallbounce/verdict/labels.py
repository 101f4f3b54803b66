"""LABELS.jsonl: what an analysis was made from, and whether its answer turned out right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, StrictBool, TypeAdapter, ValidationError

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.wallbounce.tiers import TIERS, TaskType
from techsapo_ops.wallbounce.verdict.calibration import model_set

MOST_PROBLEMS = 10
LONGEST_LINE = 1_000_000
Set = tuple[TaskType, tuple[str, ...]]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


@dataclass(frozen=True, slots=True)
class Label:
    """One outcome. `agreement` (A) and `grade` (G) are 0 to 1."""

    tier: TaskType
    models: Annotated[tuple[str, ...], Field(min_length=2)]
    agreement: Share
    grade: Share
    correct: StrictBool
    contradicted: StrictBool = False
    """Whether more peers contradicted a critical claim of the answer than held it."""
    complete: StrictBool = True
    """Whether every grade came."""


_LABEL = TypeAdapter(Label)
_WANTED = {
    "tier": msg("tier should be one of {tiers}", tiers=", ".join(TIERS)),
    "models": msg("models should be a list of at least two model names"),
    **{name: msg("{name} should be a number from 0 to 1", name=name) for name in ("agreement", "grade")},
    **{
        name: msg("{name} should be true or false", name=name)
        for name in ("correct", "contradicted", "complete")
    },
}


def read_labels(lines: Iterable[str], source: str) -> tuple[Label, ...]:
    """The labels in `lines`, one JSON object each: tier, models, agreement, grade, correct.

    `contradicted` may be left out, and means false then; anything else is ignored. Empty lines are
    left out, and labels that say `"complete": false`: where grades are missing, agreement and grade are not
    what the weights hold for. Raises OpsError that names every wrong line, up to ten.
    """
    found: list[Label] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = _label(line)
            found += [label] if label.complete else []
        except ValueError as error:
            problems.append(msg("{source}:{number} {error}", source=source, number=number, error=error))
            if len(problems) >= MOST_PROBLEMS:
                problems.append(msg("(the rest was not read)"))
                break
    if problems:
        raise OpsError(
            joined("\n", problems),
            msg(
                'a line is e.g. {{"tier": "basic", "models": ["gpt", "claude"], "agreement": 1, '
                '"grade": 0.92, "correct": true}}; the first four are the `evidence` of an answer'
            ),
        )
    if not found:
        raise OpsError(
            msg("{source} holds no labels of whole gradings", source=source),
            msg("docs/wall-bounce.md says how to collect them"),
        )
    return tuple(found)


def by_set(labels: Iterable[Label]) -> Mapping[Set, tuple[Label, ...]]:
    """Labels by tier and set of models: weights hold for nothing else."""
    groups: dict[Set, list[Label]] = {}
    for label in labels:
        groups.setdefault((label.tier, label.models), []).append(label)
    ordered = sorted(groups.items(), key=lambda item: (TIERS.index(item[0][0]), item[0][1]))
    return {key: tuple(group) for key, group in ordered}


def _label(line: str) -> Label:
    if len(line) > LONGEST_LINE:
        raise ValueError(msg("the line is longer than a label can be"))
    try:
        raw = json.loads(line)
    except RecursionError:
        raise ValueError(msg("not JSON: nested too deep")) from None
    except ValueError as error:
        raise ValueError(msg("not JSON: {error}", error=error)) from None
    try:
        label = _LABEL.validate_python(raw)
    except ValidationError as error:
        found = [(each["type"], str(each["loc"][0]) if each["loc"] else "") for each in error.errors()]
        if missing := [name for kind, name in found if kind == "missing"]:
            raise ValueError(msg("lacks {missing}", missing=", ".join(missing))) from None
        raise ValueError(_WANTED.get(found[0][1], msg("should be an object"))) from None
    return replace(label, models=model_set(label.models))
