"""What the recovery lab found, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.recovery.cells import SECONDS, STEPS, Cell, Outcome
from tests.recovery.stack import Size


@dataclass
class Report:
    """Everything of one run."""

    size: Size
    machine: str
    outcomes: list[Outcome] = field(default_factory=list)
    raws: dict[str, dict[str, float]] = field(default_factory=dict)
    stacks: dict[str, Mapping[str, str]] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def lost(self, title: str, facts: Mapping[str, str]) -> None:
        """A stack that was lost, with the facts by which one sees that it is back."""
        self.stacks[title] = facts

    def cell(self, outcome: Outcome) -> None:
        """One more recovery."""
        self.outcomes.append(outcome)

    def raw(self, cell: Cell, seconds: dict[str, float]) -> None:
        """What the ordinary tools took for the same copy."""
        self.raws[cell.title] = seconds

    @property
    def ok(self) -> bool:
        """Whether every recovery was whole, and in time."""
        return bool(self.outcomes) and all(outcome.ok for outcome in self.outcomes)

    def write(self, folder: Path) -> None:
        """report.json and report.md."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n")
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """The same with stable keys."""
        return {
            "began": self.began.isoformat(timespec="seconds"),
            "machine": self.machine,
            "keys": self.size.keys,
            "rows": self.size.rows,
            "facts": {title: sorted(facts) for title, facts in self.stacks.items()},
            "raw": self.raws,
            "cells": [
                {
                    "title": each.cell.title,
                    "ok": each.ok,
                    "wall_seconds": round(each.wall, 1),
                    "seconds": dict(each.seconds),
                    "failed": each.failed,
                    "differs": sorted(each.differs),
                    "remaining": list(each.remaining),
                    "dry_run_seconds": round(each.dry_run, 1),
                    "up_again_seconds": round(each.again, 1),
                }
                for each in self.outcomes
            ],
        }

    def markdown(self) -> str:
        """A page."""
        lines = [
            f"{self.began:%Y-%m-%d}, {self.machine}: {self.size.keys:,} keys of 1 KB, "
            f"{self.size.rows:,} audit rows. "
            f"Wanted: every fact equal, at most {SECONDS:.0f} s. Seconds:",
            "",
            f"| recovery | whole | {' | '.join(STEPS)} | dry run | `up` again | facts |",
            f"| --- | {'---: | ' * (len(STEPS) + 3)}--- |",
        ]
        for each in self.outcomes:
            steps = " | ".join(f"{each.seconds.get(step, 0):.1f}" for step in STEPS)
            dry = f"{each.dry_run:.1f}" if each.dry_run else ""
            said = each.failed.splitlines()
            wrong = [*said[:1], *each.differs, *each.remaining]
            told = "equal" if not wrong else "; ".join(wrong)
            lines.append(
                f"| {each.cell.title} | {each.wall:.1f} | {steps} | {dry} | {each.again:.1f} | {told} |"
            )
        if self.raws:
            lines += ["", "Raw tools on the same copies, in the same run:", ""]
            names = list(dict.fromkeys(name for found in self.raws.values() for name in found))
            lines += [f"| copy | {' | '.join(names)} | sum |", f"| --- | {'---: | ' * len(names)}---: |"]
            for title, found in self.raws.items():
                cells = " | ".join(f"{found.get(name, 0):.1f}" for name in names)
                lines.append(f"| {title} | {cells} | {sum(found.values()):.1f} |")
        return "\n".join(lines) + "\n"
