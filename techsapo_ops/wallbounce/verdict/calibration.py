"""What confidence is calibrated by: LABELS.jsonl, and the fitted weights with the models they hold for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, StrictBool, TypeAdapter, ValidationError

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.wallbounce.question import TIERS, TaskType
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Weights

Format = Literal[3]
HINT = msg("`techsapo answers calibrate LABELS.jsonl --output FILE` writes a new calibration file")


def model_set(models: Sequence[str]) -> tuple[str, ...]:
    """The models in an order of their own, whoever answered first; one that answers twice counts twice."""
    return tuple(sorted(models))


@dataclass(frozen=True, slots=True)
class Fit:
    """The weights of one tier and set of models, from `labels` outcomes, with what they reached."""

    tier: TaskType
    models: tuple[str, ...]
    weights: Weights
    labels: int
    figures: Mapping[str, float]
    """ece, auroc and brier on labels that the weights were not fitted to."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """All fitted weights. They apply only to exactly the models and the tier that they were fitted on."""

    fits: tuple[Fit, ...] = ()

    def weights(self, tier: TaskType, models: Sequence[str]) -> Weights:
        """The fitted weights of this tier and these models, else the provisional ones."""
        wanted = model_set(models)
        for fit in self.fits:
            if fit.tier == tier and model_set(fit.models) == wanted:
                return fit.weights
        return PROVISIONAL

    @property
    def key(self) -> str:
        """Changes whenever a weight does; for caches."""
        return "" if not self.fits else dumps(self)


@dataclass(frozen=True, slots=True)
class _File:
    format: Format
    fits: tuple[Fit, ...]


_FILE = TypeAdapter(_File)


def dumps(calibration: Calibration) -> str:
    """The content of a calibration file."""
    return _FILE.dump_json(_File(3, calibration.fits), indent=2).decode() + "\n"


def loads(text: str, source: str) -> Calibration:
    """The calibration in `text`. Raises OpsError, naming `source`, where it is not one."""
    try:
        return Calibration(_FILE.validate_json(text).fits)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
    if not place:
        raise OpsError(msg("{source} is not a calibration file", source=source), HINT)
    raise OpsError(
        msg("{source} is not a calibration file: {place} is missing or wrong", source=source, place=place),
        HINT,
    )


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
    labels: list[Label] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = _label(line)
            labels += [label] if label.complete else []
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
                '"grade": 0.92, "correct": true}}; the first four fields are the `evidence` of an answer'
            ),
        )
    if not labels:
        raise OpsError(
            msg("{source} has no label with a complete set of grades", source=source),
            msg("docs/wall-bounce.md says how to collect labels"),
        )
    return tuple(labels)


def by_set(labels: Iterable[Label]) -> Mapping[Set, tuple[Label, ...]]:
    """Labels by tier and set of models: weights hold for nothing else."""
    groups: dict[Set, list[Label]] = {}
    for label in labels:
        groups.setdefault((label.tier, label.models), []).append(label)
    ordered = sorted(groups.items(), key=lambda item: (TIERS.index(item[0][0]), item[0][1]))
    return {key: tuple(group) for key, group in ordered}


def _label(line: str) -> Label:
    if len(line) > LONGEST_LINE:
        raise ValueError(msg("the line is too long for a label"))
    try:
        raw = json.loads(line)
    except RecursionError:
        raise ValueError(msg("not JSON: nested too deep")) from None
    except ValueError as error:
        raise ValueError(msg("not JSON: {error}", error=error)) from None
    try:
        label = _LABEL.validate_python(raw)
    except ValidationError as error:
        faults = [(each["type"], str(each["loc"][0]) if each["loc"] else "") for each in error.errors()]
        if missing := [name for kind, name in faults if kind == "missing"]:
            raise ValueError(msg("lacks {missing}", missing=", ".join(missing))) from None
        raise ValueError(_WANTED.get(faults[0][1], msg("should be an object"))) from None
    return replace(label, models=model_set(label.models))
