"""`make vm-lab`: all scenarios, or those that are named; a report as JSON and Markdown in .vm-lab/reports."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.vm import image
from tests.vm.lab import Lab, Outcome
from tests.vm.machine import Machine
from tests.vm.scenarios import CUTS, FIRST

Scenario = Callable[[Lab], Outcome]
FOLDER = Path(".vm-lab")


def main() -> int:
    """Exit 1 where a scenario found a problem."""
    wanted = sys.argv[1:]
    began = time.monotonic()
    debian = image.made(FOLDER.resolve())
    print(f"image: {time.monotonic() - began:.0f} s", flush=True)
    reports = FOLDER.resolve() / "reports"
    reports.mkdir(exist_ok=True)
    machine = Machine(debian, FOLDER.resolve() / "machine")
    lab = Lab(machine, reports)
    outcomes: list[Outcome] = []
    kept = FOLDER.resolve() / "whole.img"
    first = FIRST if not wanted else tuple(each for each in FIRST if each.__name__ in wanted)
    cuts = CUTS if not wanted else tuple(each for each in CUTS if each.__name__ in wanted)
    try:
        _try_all(first, lab, outcomes)
        if cuts:
            if not first:
                machine.fresh(kept)
                machine.boot()
                lab.healthy(time.monotonic())
            elif not kept.exists() or not wanted:
                machine.off()
                machine.keep(kept)
                machine.boot()
                lab.healthy(time.monotonic())
            _try_all(cuts, lab, outcomes)
    finally:
        machine.off()
        _report(outcomes, reports)
    return 1 if any(outcome.problems for outcome in outcomes) else 0


def _try_all(scenarios: Sequence[Scenario], lab: Lab, outcomes: list[Outcome]) -> None:
    for scenario in scenarios:
        outcomes.append(_tried(scenario, lab))  # noqa: PERF401 - each is there for the report before the next


def _tried(scenario: Scenario, lab: Lab) -> Outcome:
    began = time.monotonic()
    try:
        outcome = scenario(lab)
    except Exception as error:  # noqa: BLE001 - the others are tried all the same
        traceback.print_exc()
        outcome = Outcome(scenario.__name__, problems=[f"{type(error).__name__}: {error}"])
    outcome.figures["took"] = round(time.monotonic() - began, 1)
    print(
        f"{outcome.name}: {outcome.figures}",
        *outcome.said,
        *(f"PROBLEM {p}" for p in outcome.problems),
        sep="\n  ",
        flush=True,
    )
    return outcome


def _report(outcomes: list[Outcome], folder: Path) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    whole = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "outcomes": [outcome.to_json() for outcome in outcomes],
    }
    (folder / "vm-lab.json").write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    lines = [
        f"# Power cuts, {whole['time']}, {whole['commit']}",
        "",
        "| Scenario | Figures | Problems |",
        "| --- | --- | --- |",
    ]
    for outcome in outcomes:
        figures = ", ".join(f"{name} {value}" for name, value in outcome.figures.items())
        lines.append(
            f"| {outcome.name} | {figures} | {'; '.join(outcome.problems) or 'none'} |".replace("\n", " ")
        )
    (folder / "vm-lab.md").write_text("\n".join(lines) + "\n")
    print(f"\nreport: {folder / 'vm-lab.md'}")


if __name__ == "__main__":
    sys.exit(main())
