"""Start-up of the command line against a Typer hello world (fastest of 15 interleaved runs)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.row import Row

RUNS = 15
HELLO = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str = "world") -> None:
    "Say hello."
    print(name)
@app.command()
def bye() -> None:
    "Say goodbye."
app()
"""
NAMES = """
import typer
app = typer.Typer()
def names(incomplete: str) -> list[str]:
    return [name for name in ("redis", "app", "nginx") if name.startswith(incomplete)]
@app.command()
def hello(name: str = typer.Argument("world", autocompletion=names)) -> None:
    "Say hello."
@app.command()
def bye() -> None:
    "Say goodbye."
app(prog_name="hello")
"""
COMPLETION = 2.0
BOUNDS = {"--help": 1.2, "ps": 1.7, "validate": 1.7}


def _milliseconds(argv: list[str], cwd: Path, **variables: str) -> float:
    # As on a host where it is installed: its modules are compiled once, not at every start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    start = time.perf_counter()
    done = subprocess.run(
        argv, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    taken = (time.perf_counter() - start) * 1000
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return taken


def run() -> Iterator[Row]:
    """Time hello world and each command in turn, so that a busy moment hits all alike."""
    techsapo = str(Path(sys.executable).parent / "techsapo")
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        (project / "hello.py").write_text(HELLO)
        (project / "techsapo.yaml").write_text("project: techsapo\n")
        commands = {"hello": [sys.executable, "hello.py", "--help"]} | {
            name: [techsapo, *name.split()] for name in BOUNDS
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, argv in commands.items():
                times[name].append(_milliseconds(argv, project))
        completed = _completions(techsapo, project)
    for name, bound in BOUNDS.items():
        yield Row(f"techsapo {name}", min(times[name]), min(times["hello"]), bound)
    yield Row("Tab after techsapo", *completed, COMPLETION)


def _completions(techsapo: str, project: Path) -> tuple[float, float]:
    """Our commands, and the names of a hello world, in turn."""
    (project / "names.py").write_text(NAMES)
    ours = {"_TECHSAPO_COMPLETE": "complete_bash", "COMP_WORDS": "techsapo ", "COMP_CWORD": "1"}
    theirs = {"_HELLO_COMPLETE": "complete_bash", "COMP_WORDS": "hello hello ", "COMP_CWORD": "2"}
    mine, own = [], []
    for _ in range(RUNS):
        mine.append(_milliseconds([techsapo], project, **ours))
        own.append(_milliseconds([sys.executable, "names.py"], project, **theirs))
    return min(mine), min(own)
