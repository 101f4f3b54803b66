"""Fitted weights: which tier and which models they hold for, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.tiers import TaskType
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Weights

Format = Literal[3]
HINT = msg("`techsapo answers calibrate LABELS.jsonl --output FILE` writes it anew")


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
