"""One line of a bench: a figure, its baseline from the same run, and the bound on their ratio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` and `baseline` in the same `unit`; `bound` is the largest ratio that passes.

    Both are printed with that many `digits` after the point.
    """

    name: str
    value: float
    baseline: float
    bound: float
    unit: str = "ms"
    digits: int = 1

    @property
    def ratio(self) -> float:
        return self.value / self.baseline

    @property
    def ok(self) -> bool:
        return self.ratio <= self.bound

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "MISSED"
        value, baseline = (f"{each:8.{self.digits}f} {self.unit}" for each in (self.value, self.baseline))
        return (
            f"{self.name:36} {value}   baseline {baseline}"
            f"   ratio {self.ratio:5.2f}   bound {self.bound:5.2f}   {verdict}"
        )
