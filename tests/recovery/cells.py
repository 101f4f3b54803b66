"""One recovery: begun on a new host, killed where asked, compared, timed; and what raw tools take for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import servers
from projects import Project, kill_all

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.recovery.hosts import Host
from tests.recovery.places import PASSWORD, Place
from tests.recovery.stack import Service, Size

SECONDS = 300.0
"""What a recovery may take here, with 50 MB of Redis and a million rows."""
STEPS = ("fetch", "place", "up", "restore", "certificates", "schedule", "health")


@dataclass(frozen=True)
class Cell:
    """What one recovery is to be like. `killed_in` is the step at which it is killed first."""

    title: str
    place: Place
    words: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    killed_in: str = ""
    python: str = sys.executable


@dataclass(frozen=True)
class Outcome:
    """How it went. `differs` are the facts that are not as they were, with both values."""

    cell: Cell
    wall: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    differs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    remaining: tuple[str, ...] = ()
    failed: str = ""
    """What was said where it did not come back at all."""
    dry_run: float = 0.0
    again: float = 0.0
    """Seconds of an `up` after it, which has nothing to do."""

    @property
    def ok(self) -> bool:
        return not self.failed and not self.differs and not self.remaining and self.wall <= SECONDS


class Found(Project):
    """A project that is there already: its spec is not written."""

    def __post_init__(self) -> None:
        pass


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Where a stack is to come to be; what runs there is gone at the end."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-recovered-"))
    top.chmod(0o755)
    try:
        yield top / "stack"
    finally:
        made = Found(top / "stack", {})
        if made.state.exists():
            kill_all(made)
        shutil.rmtree(top)


def recovered(
    cell: Cell,
    host: Host,
    folder: Path,
    facts: Mapping[str, str],
    size: Size,
    *,
    moment: float,
    timed_dry: bool = False,
    then_up: bool = True,
) -> tuple[Outcome, Service]:
    """Recover into `folder` on `host`, killed once where the cell says so, and compare with `facts`."""
    folder.mkdir(exist_ok=True)
    if cell.launcher:
        shutil.chown(folder, 54321, 54321)
    launcher = (*host.enter(folder), *cell.launcher)
    project = Found(folder, {}, launcher=launcher, python=cell.python)
    words = (
        "recover", "--from", cell.place.url, "--into", str(folder), *cell.place.options, *cell.words,
    )  # fmt: skip
    environment = {**os.environ, **cell.place.environment, "RESTIC_PASSWORD": PASSWORD, "NO_COLOR": "1"}
    dry = _timed_run(project, (*words, "--dry-run"), environment) if timed_dry else 0.0
    if cell.killed_in:
        _killed(project, (*words, "--yes"), environment, cell.killed_in)
    began = time.monotonic()
    done = _run(project, (*words, "--yes", "--json"), environment)
    wall = time.monotonic() - began
    told = json.loads(done)
    project.spec = read_yaml((folder / "techsapo.yaml").read_text("utf-8"))
    engine = (
        cell.words[cell.words.index("--engine") + 1] if "--engine" in cell.words else project.spec["engine"]
    )
    service = Service(project, host, size, in_containers=engine == "compose", moment=moment)
    now = service.facts()
    if "grafana" in cell.words:  # what is left out
        facts = {name: was for name, was in facts.items() if name != "dashboards"}
    differs = {name: (was, now.get(name, "")) for name, was in facts.items() if now.get(name) != was}
    again = _timed_run(project, ("up", "--yes"), environment) if then_up else 0.0
    remaining = tuple(f"{each['what']} ({each['try']})" for each in told["remaining"])
    return Outcome(cell, wall, told["seconds"], differs, remaining, "", dry, again), service


def _run(project: Project, words: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        project.argv(*words), env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"techsapo {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _timed_run(project: Project, words: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.monotonic()
    _run(project, words, environment)
    return time.monotonic() - began


def _killed(project: Project, words: Sequence[str], environment: Mapping[str, str], step: str) -> None:
    """Begin a recovery, and kill it with all that it started while it is at `step`."""
    before = STEPS[: STEPS.index(step)]
    process = subprocess.Popen(
        project.argv(*words), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        servers.wait_for(
            lambda: process.poll() is not None or _at(project.layout.journal / "recovery.json", before),
            timeout=600, what=f"the step {step}",
        )  # fmt: skip
        assert process.poll() is None, f"it was through before {step}: {process.stdout.read()!r}"  # type: ignore[union-attr]
        time.sleep(0.2)  # well within the step, but for the shortest, which are then just over
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _at(journal: Path, before: Sequence[str]) -> bool:
    try:
        done = json.loads(journal.read_text("utf-8"))["done"]
    except (OSError, ValueError):
        return False
    return journal.exists() and set(before) <= set(done)


def raw(cell: Cell, host: Host, *, load: bool) -> dict[str, float]:
    """Seconds of the ordinary tools: restic for the files; to `load` the data, redis-server and mariadb."""
    with tempfile.TemporaryDirectory(prefix="techsapo-raw-") as name:
        top = Path(name)
        argv = [
            *host.enter(top), "restic", "--no-cache", *cell.place.options, "-r", cell.place.url, "restore",
            "latest", "--tag", "techsapo", "--target", str(top / "back"), "--quiet", "--verify",
        ]  # fmt: skip
        environment = {**os.environ, **cell.place.environment, "RESTIC_PASSWORD": PASSWORD}
        found = {"restic restore": _timed(argv, environment)}
        if not load:
            return found
        (dump,) = (top / "back").rglob("redis-*.rdb.zst")
        (top / "redis").mkdir()
        began = time.monotonic()
        subprocess.run(["zstd", "-dcq", str(dump), "-o", str(top / "redis/dump.rdb")], check=True)
        with servers.redis(top / "redis") as redis:
            servers.wait_for(
                lambda: _says(["redis-cli", "-p", str(redis.port), "PING"], "PONG"), what="redis has loaded"
            )
            found["redis load"] = time.monotonic() - began
        dumps = list((top / "back").rglob("audit-*.sql.zst"))
        if dumps:
            with servers.mariadb(top / "mysql") as mysql:
                client = f"mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P {mysql.port} -u root"
                script = f"{client} -e 'CREATE DATABASE a' && zstd -dc '{dumps[0]}' | {client} a"
                found["mariadb load"] = _timed(
                    ["sh", "-c", script], {**os.environ, "MYSQL_PWD": str(mysql.password)}
                )
    return found


def _timed(argv: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return time.monotonic() - began


def _says(argv: Sequence[str], wanted: str) -> bool:
    return wanted in subprocess.run(argv, capture_output=True, text=True, check=False).stdout
