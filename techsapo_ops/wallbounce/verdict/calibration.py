"""What labels have taught: the weights of any panel, with how far they are still open, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, TypeAdapter, ValidationError

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.question import TaskType
from techsapo_ops.wallbounce.verdict.record import family_of
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Weights
from techsapo_ops.wallbounce.verdict.voices import FEWEST_LEFT, LEAST, USUAL, Rates, keys_of

HINT = msg("remove the file; `techsapo answers calibrate --apply` writes a new one")
Count = Annotated[int, Field(ge=0, le=1_000_000)]
BASE = ("intercept", "agreement", "grade", "agreement squared", "held right")
APART = {"tier": 0.1, "family": 0.5, "model": 0.5}
"""How far tiers, families and models of a family lie apart: standard deviations of their parts."""
MISFIT = 0.12
"""Variance of what three weights can't say of a panel, however many labels there are."""


def model_set(models: Sequence[str]) -> tuple[str, ...]:
    """The models in an order of their own, whoever answered first; one that answers twice counts twice."""
    return tuple(sorted(models))


def groups_of(
    tier: TaskType, models: Sequence[str], chosen: int, relations: Sequence[bool | None]
) -> dict[str, float]:
    """What an answer shares a part of its intercept with, and how much of that part counts.

    A model counts for an answer that it agrees with and against one that it does not, as far as others do
    otherwise: where all agree, it says nothing who is among them.
    """
    sides = {
        i: 1.0 if agrees or i == chosen else -1.0 for i, agrees in enumerate(relations) if agrees is not None
    }
    middle = fmean(sides.values())
    shares = {f"tier {tier}": 1.0}
    for place, side in sides.items():
        for group in (f"family {family_of(models[place])}", f"model {models[place]}"):
            shares[group] = shares.get(group, 0.0) + side - middle
    return shares


@dataclass(frozen=True, slots=True)
class Calibration:
    """What labels have taught of the weights, and of what each model's word is worth.

    `mean` and `covariance` run along the weights of BASE and then along `groups`, whose part of the intercept
    each is. A tier, family or model without a label has none; it starts from the level above it.
    """

    labels: Count = 0
    until: AwareDatetime | None = None
    """When the newest label was given."""
    contradicted: Count = 0
    groups: tuple[str, ...] = ()
    mean: tuple[FiniteFloat, ...] = ()
    covariance: tuple[tuple[FiniteFloat, ...], ...] = ()
    """The covariance."""
    voices: Mapping[str, Rates] = field(default_factory=dict)

    def weights(
        self, tier: TaskType, models: Sequence[str], chosen: int, relations: Sequence[bool | None]
    ) -> Weights:
        """The weights for the answer of `models[chosen]`, with whom `relations` says who agrees.

        They are the provisional ones where there is no label.
        """
        if not self.labels:
            return PROVISIONAL
        place = {group: number for number, group in enumerate(self.groups, len(BASE))}
        shares = groups_of(tier, models, chosen, relations)
        shared = [(place[group], share) for group, share in shares.items() if group in place]
        parts = ([(0, 1.0), *shared], *([(i, 1.0)] for i in range(1, len(BASE))))
        mean = [sum(share * self.mean[i] for i, share in part) for part in parts]
        unknown = sum(
            (share * APART[group.partition(" ")[0]]) ** 2
            for group, share in shares.items()
            if group not in place
        )
        rows = [
            [sum(x * y * self.covariance[i][j] for i, x in a for j, y in b) for b in parts] for a in parts
        ]
        rows[0][0] += unknown + MISFIT
        return Weights(
            tuple(mean),
            tuple(map(tuple, rows)),
            self.labels,
            self.contradicted,
            self.worth(models, chosen),
        )

    def worth(self, models: Sequence[str], chosen: int) -> tuple[float, ...]:
        """What each model's word on the answer of `models[chosen]` counts beside that of the most worthy."""
        index = [self._rates(models[chosen], model).index for model in models]
        best = max(FEWEST_LEFT, *(value for place, value in enumerate(index) if place != chosen))
        return tuple(
            1.0 if place == chosen else max(LEAST, value / best) for place, value in enumerate(index)
        )

    def _rates(self, author: str, other: str) -> Rates:
        known = (self.voices[key] for key in reversed(keys_of(author, other)) if key in self.voices)
        return next(known, USUAL)

    @property
    def key(self) -> str:
        """Changes whenever a weight does; for caches."""
        return "" if not self.labels else dumps(self)


@dataclass(frozen=True, slots=True)
class _File:
    format: Literal[4]
    calibration: Annotated[Calibration, Field()]


_FILE = TypeAdapter(_File)


def dumps(calibration: Calibration) -> str:
    """The content of a calibration file."""
    return _FILE.dump_json(_File(4, calibration), indent=2).decode() + "\n"


def loads(text: str, source: str) -> Calibration:
    """The calibration in `text`. Raises OpsError, naming `source`, where it is not one."""
    try:
        read = _FILE.validate_json(text).calibration
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
    else:
        size = len(BASE) + len(read.groups)
        if not read.labels or (
            len(read.mean) == len(read.covariance) == size == min(map(len, read.covariance))
        ):
            return read
        place = "calibration.covariance"
    if not place:
        raise OpsError(msg("{source} is not a calibration file", source=source), HINT)
    raise OpsError(
        msg("{source} is not a calibration file: {place} is missing or wrong", source=source, place=place),
        HINT,
    )
