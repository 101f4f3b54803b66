"""What the proofs measured: medians and the worst of some faults, on a page."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WHERE = (
    "One kernel, one disk, one clock; 0 ms of network between the machines; the page cache survives kill -9. "
    "Not shown: power loss, switches, clocks that differ. On your machines: `techsapo drill failover-host`."
)


@dataclass(frozen=True)
class Figure:
    """One thing that was measured, once for each fault; `most` is what it may be at worst."""

    what: str
    unit: str
    values: tuple[float, ...]
    most: float | None = None

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def worst(self) -> float:
        """The largest value: less is better for all of them."""
        return max(self.values)

    @property
    def ok(self) -> bool:
        """Whether no value is above what was wanted."""
        return self.most is None or self.worst <= self.most

    def row(self) -> str:
        """A row of the report's tables."""
        most = "" if self.most is None else f"≤ {_plain(self.most)}"
        verdict = "" if self.most is None else "yes" if self.ok else "**NO**"
        numbers = (str(len(self.values)), _plain(self.median), _plain(self.worst), most)
        return f"| {' | '.join((self.what, self.unit, *numbers, verdict))} |"


@dataclass
class Figures:
    """What one proof found. `problems` are what no number says."""

    proof: str
    title: str = ""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    commit: str = ""
    took: float = 0.0
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def add(self, what: str, unit: str, values: Sequence[float], most: float | None = None) -> Figure:
        """Note one figure; ValueError where nothing was measured."""
        if not values:
            raise ValueError(f"{what}: nothing was measured")
        self.figures.append(Figure(what, unit, tuple(values), most))
        return self.figures[-1]

    @property
    def ok(self) -> bool:
        """Whether all is as it was wanted."""
        return not self.problems and all(figure.ok for figure in self.figures)

    def write(self, folder: Path) -> None:
        """Keep it in `folder`, for a report of several runs."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (folder / f"{self.proof}.json").write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Figures:
        """What `write` kept."""
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        figures = [Figure(**{**each, "values": tuple(each["values"])}) for each in found.pop("figures")]
        return cls(figures=figures, **found)

    def markdown(self) -> str:
        """Its part of the page."""
        lines = [f"## {self.title or self.proof}", "", f"{self.when}, {self.commit}, {self.took:.0f} s."]
        if self.figures:
            head = "| What | Unit | n | Median | Worst | Wanted | Held |"
            rows = [figure.row() for figure in self.figures]
            lines += ["", head, "| --- | --- | ---: | ---: | ---: | ---: | --- |", *rows]
        lines += [f"\nPROBLEM: {problem}" for problem in self.problems]
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def page(folder: Path) -> Path:
    """Write report.md of everything in `folder`: each proof as it went the last time."""
    machine = f"{platform.machine()}, {os.cpu_count()} processors, {platform.release()}"
    parts = [Figures.read(file).markdown() for file in sorted(folder.glob("*.json"))]
    report = folder / "report.md"
    report.write_text("\n".join([f"# Three machines\n\n{WHERE}\n\n{machine}.\n", *parts]), encoding="utf-8")
    return report


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
