"""One line of a bench: a figure, its baseline from the same run, and the bound on their ratio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` and `baseline` in the same `unit`; `bound` is the largest ratio that passes."""

    name: str
    value: float
    baseline: float
    bound: float
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        return self.value / self.baseline

    @property
    def ok(self) -> bool:
        return self.ratio <= self.bound

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "MISSED"
        return (
            f"{self.name:28} {self.value:8.1f} {self.unit}   baseline {self.baseline:8.1f} {self.unit}"
            f"   ratio {self.ratio:5.2f}   bound {self.bound:5.2f}   {verdict}"
        )
