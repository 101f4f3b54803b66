"""The stack on the machine: how it is set up, cut off, found again, and what of it is compared."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.power.machine import Machine, copied
from tests.power.traffic import Traffic, asking

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
THERE = "/srv/techsapo"
IN = f"cd {THERE} && "
HEALTHY = 180.0
"""Seconds after which a stack that is not healthy counts as not come back."""
_SUB_STATE = "systemctl show --value -p SubState"
"""`start` while its command is at work; `auto-restart` between two tries; both are `activating`."""
_PYTHON = '"$(dirname "$(readlink -f "$(command -v techsapo)")")"/python'
"""Of the environment that the tool is installed in: the clone's, or after a recovery one of its own."""
NOW = "THE-MOMENT-HAS-COME"


@dataclass
class Outcome:
    """What one scenario found; `problems` is empty where all of it is as promised."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass
class Known:
    """What the stack has told somebody, so that it must know it ever after."""

    answered: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    applies: int = 0
    backups: set[str] = field(default_factory=set)


class Lab:
    """One machine and what was told about its stack."""

    def __init__(self, machine: Machine, reports: Path) -> None:
        self.machine = machine
        self.reports = reports
        self.known = Known()
        self.port = 4000
        self.kept = machine.folder / "installed.img"

    def keep(self) -> None:
        """Keep the disk of the machine, which is off, and what was told, for runs that begin with it."""
        noted = {**asdict(self.known), "keys": sorted(self.known.keys), "backups": sorted(self.known.backups)}
        self.kept.with_suffix(".json").write_text(json.dumps({**noted, "tree": _tree()}))
        copied(self.machine.image, self.kept)

    def go_on(self) -> bool:
        """Switch on a machine as it was kept; False where none was, or one of another state of the code."""
        if not self.kept.exists():
            return False
        noted = json.loads(self.kept.with_suffix(".json").read_text())
        if noted.pop("tree") != _tree():
            return False
        self.known = Known(noted["answered"], set(noted["keys"]), noted["applies"], set(noted["backups"]))
        self.machine.fresh(self.kept)
        began = time.monotonic()
        self.machine.boot()
        self.healthy(began)
        return True

    def clone(self) -> None:
        """The repository as it is committed, as a clone there."""
        bundle = self.machine.folder / "techsapo.bundle"
        subprocess.run(["git", "bundle", "create", "-q", str(bundle), "HEAD"], cwd=REPOSITORY, check=True)
        self.machine.run("cat > /srv/techsapo.bundle", feed=bundle.read_bytes())
        self.machine.run(f"git clone -q /srv/techsapo.bundle {THERE}")

    def healthy(self, began: float) -> float:
        """Seconds from `began` until the stack is healthy. Raises RuntimeError with what it says instead."""
        found = self.machine.run("true", check=False)
        while time.monotonic() - began < HEALTHY:
            unit = self.machine.run(f"{_SUB_STATE} techsapo.service", check=False, timeout=60)
            if unit.stdout.strip() == "start":  # asking for more would take the processor from `up`
                time.sleep(0.5)
                continue
            found = self.machine.run(IN + "techsapo health --json", check=False, timeout=120)
            if found.returncode == 0:
                return time.monotonic() - began
            time.sleep(1)
        raise RuntimeError(f"not healthy after {HEALTHY:g} s: {found.stdout[-1500:]}{found.stderr[-500:]}")

    def wanted(self, command: str, when: str) -> str:
        """`command`, beside a watcher that says NOW once `when`, a shell's condition, holds."""
        watcher = f"(until {when}; do sleep .05; done; echo {NOW}) & watcher=$!;"
        return f"{IN}{{ {watcher} {command}; echo ENDED $?; sleep 3; kill $watcher 2>/dev/null; }}"

    def cut_off(self, name: str, command: str | None, when: str, after: float = 0.0) -> Outcome:
        """Cut the power `after` seconds after `when` holds while `command` runs, under traffic; then look.

        Without a command the traffic alone goes on for `after` seconds.
        """
        outcome = Outcome(name)
        said = self.reports / f"{name.replace(' ', '-')}.log"
        said.unlink(missing_ok=True)
        with self.machine.reached(self.port) as port, asking(port) as traffic:
            self._some_answers(traffic)
            if command is not None:
                running = self.machine.begin(self.wanted(command, when), said)
                self._moment(said, running)
            time.sleep(after)
            self.machine.cut()
            cut_at = len(traffic.answered)
            traffic.stop()
        ended = "ENDED" in said.read_text() if said.exists() else False
        outcome.figures |= {"answered": cut_at, "command ended before": ended, **self.machine.lost}
        self.known.answered += traffic.answered
        if said.exists():
            self.known.keys |= {
                line.split()[1] for line in said.read_text().splitlines() if line.startswith("MADE ")
            }
        self.after(outcome)
        return outcome

    def after(self, outcome: Outcome) -> None:
        """Boot, wait, and compare what is there with what was told."""
        began = time.monotonic()
        outcome.figures["boot"] = round(self.machine.boot(), 1)
        try:
            outcome.figures["healthy after"] = round(self.healthy(began), 1)
        except RuntimeError as error:
            outcome.problems.append(str(error))
        self.compare(outcome)

    def look(self) -> dict[str, Any]:
        """What is on disk there. Rows that wait in a file get into the database first."""
        for _ in range(20):
            found: dict[str, Any] = json.loads(
                self.machine.run(IN + _PYTHON + " -", feed=(HERE / "look.py").read_bytes()).stdout
            )
            if not found["waiting"]:
                return found
            time.sleep(3)
        return found

    def compare(self, outcome: Outcome) -> None:
        """Add to `outcome` what of the things that were told is not there, and what is not whole."""
        found = self.look()
        (self.reports / f"{outcome.name.replace(' ', '-')}.json").write_text(json.dumps(found, indent=1))
        rows, known = Counter(found["rows"]), self.known
        missing = [each for each in known.answered if each not in rows]
        outcome.figures |= {"answers in all": len(known.answered), "without a row": len(missing)}
        outcome.figures["rows"] = len(found["rows"])
        problems = outcome.problems
        if missing:
            problems.append(f"{len(missing)} answers without a row: {missing[:5]}")
        if found["waiting"]:
            problems.append(f"{found['waiting']} rows wait on disk")
        if found["torn"]:
            problems.append(f"files that are not whole: {found['torn']}")
        for name in ("history", "chain", "keys", "backups"):
            if found[name]["code"] != 0:
                problems.append(f"{name}: {found[name]['code']} {found[name]['said'][-600:]}")
        gone = known.keys - {key for key in known.keys if f'"{key}"' in found["keys"]["said"]}
        if gone:
            problems.append(f"keys that were shown and are not there: {sorted(gone)}")
        applies = found["history"]["said"].count('"result"')
        if applies < known.applies:
            problems.append(f"{applies} applies, and there were {known.applies}")
        known.applies = max(known.applies, applies)
        lost = {each for each in known.backups if each not in found["backups"]["said"]}
        if lost:
            problems.append(f"backups that were there and are not: {sorted(lost)}")
        if known.backups and found["verify"]["code"] != 0:
            problems.append(f"backup verify: {found['verify']['code']} {found['verify']['said'][-600:]}")
        if found["plan"]["code"] not in {0, 100}:
            problems.append(f"plan: {found['plan']['code']} {found['plan']['said'][-600:]}")
        outcome.figures["plan"] = "clean" if found["plan"]["code"] == 0 else found["plan"]["said"][:200]

    def finish(self, outcome: Outcome, command: str) -> None:
        """The command that completes or undoes what was cut; what it says is kept."""
        done = self.machine.run(IN + command, check=False, timeout=900)
        outcome.said += [f"$ {command}", *(done.stdout + done.stderr).strip().splitlines()[-12:]]
        if done.returncode != 0:
            outcome.problems.append(f"{command}: {done.returncode} {(done.stdout + done.stderr)[-800:]}")
        plan = self.machine.run(IN + "techsapo plan --quiet", check=False)
        if plan.returncode != 0:
            outcome.problems.append(f"plan after it: {plan.returncode} {(plan.stdout + plan.stderr)[-600:]}")

    def _some_answers(self, traffic: Traffic) -> None:
        deadline = time.monotonic() + 120
        while len(traffic.answered) < 8:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answers: {traffic.refused} refused")
            time.sleep(0.2)

    def _moment(self, said: Path, running: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 900
        while NOW not in said.read_text():
            if running.poll() is not None or time.monotonic() > deadline:
                if NOW in said.read_text():
                    return
                raise RuntimeError(f"the moment did not come: {said.read_text()[-2000:]}")
            time.sleep(0.02)


def _tree() -> str:
    """What the package is in the commit that is tried."""
    git = ["git", "rev-parse", "HEAD:techsapo_ops"]
    return subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
