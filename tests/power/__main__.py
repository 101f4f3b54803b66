"""`make power-lab`: all scenarios, or those that are named, each on what the ones before have left.

A run of some begins with a machine as the scenario `installed` left it, which .power-lab keeps.
The report is in .power-lab/reports, as JSON and Markdown: each scenario as it went the last time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.power import image
from tests.power.lab import Lab, Outcome
from tests.power.machine import Machine
from tests.power.scenarios import ALL

FOLDER = Path(".power-lab").resolve()
REPORTS = FOLDER / "reports"


def main() -> int:
    """Exit 1 where a scenario found a problem."""
    names = sys.argv[1:] or [scenario.__name__ for scenario in ALL]
    if unknown := set(names) - {scenario.__name__ for scenario in ALL}:
        raise SystemExit(
            f"no such scenario: {', '.join(unknown)}; there are {', '.join(s.__name__ for s in ALL)}"
        )
    machine = Machine(FOLDER / "machine")
    machine.fresh(image.made(FOLDER / "debian.img"))
    REPORTS.mkdir(exist_ok=True)
    lab = Lab(machine, REPORTS)
    problems = 0
    try:
        if names[0] != "installed" and not lab.go_on():
            names.insert(0, "installed")
        for name in names:
            problems += _tried(next(each for each in ALL if each.__name__ == name), lab)
    finally:
        machine.off()
    print(f"\nreport: {_report()}")
    return 1 if problems else 0


def _tried(scenario: Callable[[Lab], Outcome], lab: Lab) -> int:
    """How many problems it found."""
    began = time.monotonic()
    print(f"\n{scenario.__name__} …", flush=True)
    try:
        outcome = scenario(lab)
    except Exception as error:  # noqa: BLE001 - the others are tried all the same
        traceback.print_exc()
        outcome = Outcome(scenario.__name__, problems=[f"{type(error).__name__}: {error}"])
    outcome.figures["took"] = round(time.monotonic() - began, 1)
    problems = [f"PROBLEM {problem}" for problem in outcome.problems]
    print(f"{outcome.name}: {outcome.figures}", *outcome.said, *problems, sep="\n  ", flush=True)
    git = ("git", "rev-parse", "--short", "HEAD")
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    noted = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit, **outcome.to_json()}
    (REPORTS / f"outcome-{scenario.__name__}.json").write_text(
        json.dumps(noted, ensure_ascii=False, indent=1)
    )
    return len(problems)


def _report() -> Path:
    files = [REPORTS / f"outcome-{scenario.__name__}.json" for scenario in ALL]
    outcomes = [json.loads(file.read_text()) for file in files if file.exists()]
    whole = REPORTS / "power-lab.json"
    whole.write_text(json.dumps(outcomes, ensure_ascii=False, indent=1) + "\n")
    lines = [
        "# Power cuts",
        "",
        "| Scenario | When, commit | Figures | Problems |",
        "| --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        figures = ", ".join(f"{name} {value}" for name, value in outcome["figures"].items())
        problems = "; ".join(outcome["problems"]) or "none"
        when = f"{outcome['time']}, {outcome['commit']}"
        lines.append(f"| {outcome['name']} | {when} | {figures} | {problems} |".replace("\n", " "))
    (page := whole.with_suffix(".md")).write_text("\n".join(lines) + "\n")
    return page


if __name__ == "__main__":
    sys.exit(main())
