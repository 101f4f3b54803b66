"""LABELS.jsonl: what an analysis was made from, and whether its answer turned out right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.wallbounce.calibration import model_set
from techsapo_ops.wallbounce.tiers import TIERS, TaskType

MOST_PROBLEMS = 10
LONGEST_LINE = 1_000_000
Set = tuple[TaskType, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Label:
    """One outcome. `agreement` (A) and `grade` (G) are 0 to 1."""

    tier: TaskType
    models: tuple[str, ...]
    agreement: float
    grade: float
    correct: bool
    contradicted: bool = False
    """Whether more peers contradicted a critical claim of the answer than held it."""
    complete: bool = True
    """Whether every grade came."""


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
    if not isinstance(raw, dict):
        raise ValueError(msg("should be an object"))
    missing = [k for k in ("tier", "models", "agreement", "grade", "correct") if k not in raw]
    if missing:
        raise ValueError(msg("lacks {missing}", missing=", ".join(missing)))
    if raw["tier"] not in TIERS:
        raise ValueError(msg("tier should be one of {tiers}", tiers=", ".join(TIERS)))
    models = raw["models"]
    if not isinstance(models, list) or len(models) < 2 or not all(isinstance(m, str) for m in models):
        raise ValueError(msg("models should be a list of at least two model names"))
    for name in ("correct", "contradicted", "complete"):
        if not isinstance(raw.get(name, False), bool):
            raise ValueError(msg("{name} should be true or false", name=name))
    return Label(
        raw["tier"],
        model_set(models),
        _share(raw, "agreement"),
        _share(raw, "grade"),
        raw["correct"],
        raw.get("contradicted", False),
        raw.get("complete", True),
    )


def _share(raw: Mapping[str, Any], name: str) -> float:
    value = raw[name]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not isfinite(value)
        or not 0 <= value <= 1
    ):
        raise ValueError(msg("{name} should be a number from 0 to 1", name=name))
    return float(value)
