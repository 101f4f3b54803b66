"""`make swarm-lab`: three machines whose cables are pulled and whose power is cut, and what that costs.

Without names all proofs of tests/swarm/proofs. Each keeps what it found in dist/swarm, and report.md there
has every proof as it went the last time. `hold` keeps three machines until Ctrl-C and says how to reach them.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import shlex
import signal
import subprocess
import sys
import time
import traceback
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "tests")]

from tests.swarm import proofs  # noqa: E402 - its modules import what the lines before make importable
from tests.swarm.figures import Figures, page  # noqa: E402
from tests.swarm.ground import Ground, project_on  # noqa: E402


def main() -> int:
    """Exit 1 where something is not as it was wanted."""
    every = [module.name for module in pkgutil.iter_modules(proofs.__path__)]
    parser = argparse.ArgumentParser(prog="python -m tests.swarm", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="proof", help=f"{', '.join(every)}, or hold")
    parser.add_argument("--cuts", type=int, default=10, help="how often each fault is tried (10)")
    parser.add_argument("--to", type=Path, default=Path("dist/swarm"), help="where the report goes")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*every, "hold"}:
        parser.error(f"no such proof: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    if os.geteuid() != 0:
        parser.error("it makes networks and starts Docker: run it as root")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the machines go then too
    # A shell's background jobs ignore it, and so would the commands that are interrupted here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as parts:
        ground = Ground(parts, asked.cuts)
        if asked.names == ["hold"]:
            return _hold(ground)
        well = [
            _proved(import_module(f"{proofs.__name__}.{name}"), ground, asked.to)
            for name in asked.names or every
        ]
    print(f"\nreport: {page(asked.to)}")
    return 0 if all(well) else 1


def _proved(module: ModuleType, ground: Ground, folder: Path) -> bool:
    """Run the `prove` of a proof; the others are tried all the same where it fails."""
    found = Figures(module.__name__.rpartition(".")[2], title=(module.__doc__ or "").strip().splitlines()[0])
    began = time.monotonic()
    print(f"\n{found.title}", flush=True)
    try:
        module.prove(ground, found)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        found.problems.append(f"{type(error).__name__}: {error}".splitlines()[0])
    git = ("git", "rev-parse", "--short", "HEAD")
    found.commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    found.took = round(time.monotonic() - began, 1)
    found.write(folder)
    print(found.markdown(), flush=True)
    return found.ok


def _hold(ground: Ground) -> int:
    made = project_on(ground.lab, ground.parts)
    print(f"up: {ground.lab.seconds}")
    print(f"a stack to bring up: cd {made.directory}; {shlex.join(made.argv('up'))}")
    for name, machine in ground.lab.machines.items():
        print(f"{name} {machine.address}: docker -H {machine.docker}; {shlex.join(ground.lab.enter(name))} …")
    print(f"outside: {shlex.join(ground.lab.enter_hub())} …", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
