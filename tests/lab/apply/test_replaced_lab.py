"""A service whose program an update replaces while it runs: who says so, and what puts it right."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from projects import Project, only_redis, project
from searched import searching

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """A folder with a Redis of its own, which may be replaced as a package would; every user may enter it."""
    with tempfile.TemporaryDirectory(prefix="techsapo-programs-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        shutil.copy(servers.binary("redis-server"), folder / "redis-server")
        yield folder


@pytest.fixture(scope="module")
def stack(programs: Path) -> Iterator[Project]:
    with project(only_redis(engine="native")) as made:
        made.environment |= searching(f"{programs}:{os.environ['PATH']}", programs / "python")
        made.run("up")
        made.well()
        yield made


def metric(stack: Project) -> dict[str, float]:
    """What the job told node exporter, by service."""
    lines = (stack.state / "textfile" / "drift.prom").read_text().splitlines()
    told = [line for line in lines if line.startswith("techsapo_service_replaced{")]
    return {line.partition('service="')[2].partition('"')[0]: float(line.split()[-1]) for line in told}


@pytest.mark.nightly
def test_a_redis_that_was_replaced_is_named_until_it_is_restarted(stack: Project, programs: Path) -> None:
    stack.run("jobs", "run", "drift")
    assert metric(stack) == {"redis": 0, "app": 0, "scheduler": 0}
    assert stack.findings(code=0) == {}

    program = programs / "redis-server"
    shutil.copy(program, programs / "new")
    (programs / "new").rename(program)
    old = f"still runs {program} from before an update"
    assert stack.findings() == {"redis": f"{old}: `techsapo restart redis` restarts it"}
    listed = json.loads(stack.run("ps", "--json").stdout)["services"]
    assert {s["service"]: s["replaced"] for s in listed} == {
        "redis": old, "app": None, "scheduler": None,
    }  # fmt: skip
    told = stack.run("ps").stderr
    assert f"redis: {old}" in told
    assert "techsapo restart redis" in told
    health = stack.health()
    assert health["status"] == "healthy"
    assert [p["detail"] for p in health["probes"] if p["kind"] == "updates"] == [f"redis {old}"]
    assert "techsapo restart redis" in stack.run("health").stderr
    assert "services that still run the version from before an update: redis" in stack.run("doctor").stdout
    waiting = json.loads(stack.run("doctor", "--json").stdout)["updates"]
    assert waiting["restarts"] == {"redis": "techsapo restart redis"}
    stack.run("jobs", "run", "drift")
    assert metric(stack) == {"redis": 1, "app": 0, "scheduler": 0}

    stack.run("restart", "redis")
    assert stack.findings(code=0) == {}
    assert "techsapo up" not in stack.run("doctor").stderr, "it is up"
    stack.run("jobs", "run", "drift")
    assert metric(stack) == {"redis": 0, "app": 0, "scheduler": 0}
