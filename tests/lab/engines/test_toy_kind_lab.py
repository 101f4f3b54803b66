"""A kind of service that the package does not know, through every command of a native stack.

The command line runs in the test's own process, so that what it registers holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.toy.backup import words_file
from fakes.toy.kind import Toy
from projects import Project, only_redis, project
from servers import free_port, wait_for
from typer.testing import CliRunner

from techsapo_ops.adapters.process import Command
from techsapo_ops.cli.main import app
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import including
from techsapo_ops.stack.stack import Stack
from tests.messages.said import all_said

pytestmark = pytest.mark.lab

all_said()
"""Every command is loaded by now, without the toy: its help names the kinds that there are then, for good."""


def small(**sections: Any) -> dict[str, Any]:
    """The app, Prometheus and no Redis."""
    spec = only_redis(nginx={"enabled": False}, schedule={"by": "none"}, **sections)
    spec["redis"] = {"enabled": False}
    spec["monitoring"]["prometheus"]["enabled"] = True
    return spec


def techsapo(*words: str, code: int = 0) -> str:
    """What `techsapo …`, run here, prints on stdout."""
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, OpsError | SystemExit):
        raise done.exception
    said = f"techsapo {' '.join(words)}: {done.exit_code}\n{done.output}{done.exception!r}"
    assert done.exit_code == code, said
    return done.stdout


def stack() -> Stack:
    return open_stack(open_project(Path("techsapo.yaml")))


def inside(code: str, *words: str) -> str:
    """What a line of Python prints where the toy runs."""
    now = stack()
    asked = now.engine.enter("toy", Command(("python3", "-c", code, *words)))
    done = now.runner.run(asked, timeout=30)
    assert done.code == 0, done.output
    return done.stdout.decode().strip()


def asked(path: str) -> str:
    port = stack().topology.listens(stack().topology.of_kind("toy")[0]).port
    return inside(
        f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}{path}').read().decode())"
    )


def keep(word: str) -> None:
    inside("import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')", str(words_file(stack())), word)


def steps(code: int = 100) -> dict[str, str]:
    planned = json.loads(techsapo("plan", "--json", code=code))["steps"]
    return {s["service"]: s["action"] for s in planned if s["action"] != "nothing"}


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with project(small(), "資料 stack") as made:
        monkeypatch.chdir(made.directory)
        yield made


def test_a_kind_of_a_tests_own_goes_through_every_command(native: Project) -> None:
    with including(toy := Toy(free_port())):
        through_everything(native, toy)


def through_everything(made: Project, toy: Toy) -> None:
    assert "toy" in steps()
    techsapo("validate")
    techsapo("up", "--yes")
    assert steps(code=0) == {}
    assert "toy" in {s["service"] for s in json.loads(techsapo("ps", "--json"))["services"]}
    made_parts = {p["name"]: p["status"] for p in json.loads(techsapo("health", "--json"))["probes"]}
    assert made_parts["toy"] == "healthy"
    scraped = next((made.state / "generated").rglob("prometheus.yml")).read_text(encoding="utf-8")
    assert "job_name: toy" in scraped.replace('"', "")
    assert (asked("/"), asked("/metrics")) == ("hello", "toy_words 0")
    assert "the greeting is hello" in techsapo("logs", "toy")
    toy.greeting = "good day"
    assert steps() == {"toy": "reload"}
    techsapo("up", "--yes")
    wait_for(lambda: asked("/") == "good day", what="another greeting")
    for word in ("one", "two"):
        keep(word)
    backup = json.loads(techsapo("backup", "--only", "toy", "--json"))["id"]
    assert json.loads(techsapo("backup", "verify", "--deep", "--json"))["ok"] is True
    assert "2 words" in techsapo("restore", backup, "--only", "toy", "--dry-run")
    keep("three")
    techsapo("restore", backup, "--only", "toy", "--yes")
    assert asked("/words") == "one two"
    techsapo("rollback", "--yes")
    wait_for(lambda: asked("/") == "hello", what="the former greeting")
    techsapo("restart", "toy")
    techsapo("doctor", "--json")
    assert asked("/words") == "one two"
    techsapo("down")
    assert [s for s in json.loads(techsapo("ps", "--json"))["services"] if s["state"] == "running"] == []
