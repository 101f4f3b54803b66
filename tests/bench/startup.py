"""Start-up of the command line against a Typer hello world (processor time, least of 15 runs in turn)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
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
BOUNDS = {"--help": 1.2, "ps": 1.6, "validate": 1.9}


def processor_ms(argv: list[str], cwd: Path, **variables: str) -> float:
    """Milliseconds of processor time that the command takes, with all that it starts and waits for."""
    # As on a host where it is installed: its modules are compiled once, not at every start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= variables
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        argv, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000


def least_ms(commands: Mapping[str, list[str]], cwd: Path, runs: int) -> dict[str, float]:
    """The least that each of `commands` takes, in turn, so that a busy moment hits all alike."""
    rounds = [{name: processor_ms(argv, cwd) for name, argv in commands.items()} for _ in range(runs)]
    return {name: min(each[name] for each in rounds) for name in commands}


def run() -> Iterator[Row]:
    """Measure hello world and each command."""
    techsapo = str(Path(sys.executable).parent / "techsapo")
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        (project / "hello.py").write_text(HELLO)
        (project / "techsapo.yaml").write_text("project: techsapo\n")
        commands = {"hello": [sys.executable, "hello.py", "--help"]} | {
            name: [techsapo, *name.split()] for name in BOUNDS
        }
        least = least_ms(commands, project, RUNS)
        completed = _completions(techsapo, project)
    for name, bound in BOUNDS.items():
        yield Row(f"techsapo {name}", least[name], least["hello"], bound)
    yield Row("Tab after techsapo", *completed, COMPLETION)


def _completions(techsapo: str, project: Path) -> tuple[float, float]:
    """Our commands, and the names of a hello world, in turn."""
    (project / "names.py").write_text(NAMES)
    ours = {"_TECHSAPO_COMPLETE": "complete_bash", "COMP_WORDS": "techsapo ", "COMP_CWORD": "1"}
    theirs = {"_HELLO_COMPLETE": "complete_bash", "COMP_WORDS": "hello hello ", "COMP_CWORD": "2"}
    mine, own = [], []
    for _ in range(RUNS):
        mine.append(processor_ms([techsapo], project, **ours))
        own.append(processor_ms([sys.executable, "names.py"], project, **theirs))
    return min(mine), min(own)
