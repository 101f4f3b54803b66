"""Fitted weights: which tier and which models they hold for, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.tiers import TIERS, TaskType
from techsapo_ops.wallbounce.verdict import PROVISIONAL, Ceilings, Weights

FORMAT = 2
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
            if fit.tier == tier and fit.models == wanted:
                return fit.weights
        return PROVISIONAL

    @property
    def key(self) -> str:
        """Changes whenever a weight does; for caches."""
        return "" if not self.fits else dumps(self)


def dumps(calibration: Calibration) -> str:
    """The content of a calibration file."""
    fits = [
        {
            "tier": fit.tier,
            "models": list(fit.models),
            "weights": {
                "intercept": fit.weights.intercept,
                "agreement": fit.weights.agreement,
                "grade": fit.weights.grade,
            },
            "ceilings": {
                "count": round(fit.weights.ceilings.count, 4),
                "contradicted": round(fit.weights.ceilings.contradicted, 4),
            },
            "labels": fit.labels,
            "held_out": {name: round(value, 4) for name, value in fit.figures.items()},
        }
        for fit in calibration.fits
    ]
    return json.dumps({"format": FORMAT, "fits": fits}, indent=2, ensure_ascii=False) + "\n"


def loads(text: str, source: str) -> Calibration:
    """The calibration in `text`. Raises OpsError, naming `source`, where it is not one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OpsError(msg("{source} is not JSON: {error}", source=source, error=error), HINT) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise OpsError(
            msg("{source} is not a calibration file of format {format}", source=source, format=FORMAT), HINT
        )
    fits = document.get("fits")
    if not isinstance(fits, list):
        raise OpsError(msg("{source}: fits should be a list", source=source), HINT)
    return Calibration(
        tuple(
            _fit(raw, msg("{source}: fits[{place}]", source=source, place=place))
            for place, raw in enumerate(fits)
        )
    )


def _fit(raw: Any, where: str) -> Fit:
    if not isinstance(raw, dict):
        raise OpsError(msg("{where} should be an object", where=where), HINT)
    tier, models, weights, labels = (raw.get(k) for k in ("tier", "models", "weights", "labels"))
    if tier not in TIERS:
        raise OpsError(
            msg("{where}.tier should be one of {tiers}", where=where, tiers=", ".join(TIERS)), HINT
        )
    if not isinstance(models, list) or not models or not all(isinstance(m, str) for m in models):
        raise OpsError(msg("{where}.models should be a list of model names", where=where), HINT)
    if not isinstance(weights, dict):
        raise OpsError(msg("{where}.weights should be an object", where=where), HINT)
    numbers = [weights.get(name) for name in ("intercept", "agreement", "grade")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and isfinite(n) for n in numbers):
        raise OpsError(
            msg("{where}.weights needs the numbers intercept, agreement and grade", where=where), HINT
        )
    if not isinstance(labels, int) or isinstance(labels, bool):
        raise OpsError(msg("{where}.labels should be a whole number", where=where), HINT)
    raised = raw.get("ceilings", {})
    if not isinstance(raised, dict):
        raise OpsError(msg("{where}.ceilings should be an object", where=where), HINT)
    highest = [raised.get(name, 0.0) for name in ("count", "contradicted")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1 for n in highest):
        raise OpsError(
            msg("{where}.ceilings: count and contradicted should be numbers from 0 to 1", where=where), HINT
        )
    held = raw.get("held_out")
    figures = {str(k): float(v) for k, v in held.items()} if isinstance(held, dict) else {}
    intercept, agreement, grade = (float(n) for n in numbers if n is not None)
    weights = Weights(intercept, agreement, grade, True, Ceilings(float(highest[0]), float(highest[1])))
    return Fit(tier, model_set(models), weights, labels, figures)
