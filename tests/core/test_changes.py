"""A change is what its plan said, one that fails goes back by itself, and `rollback` goes back on request."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from applied import files, loaded_threshold
from fakes.notified import notified
from projects import Project, project, small_spec

pytestmark = pytest.mark.needs("redis-server", "prometheus", "promtool", "prometheus-alertmanager", "amtool")


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(small_spec(engine="native"), name="監視 プロジェクト") as made:
        made.run("up")
        yield made


def test_what_the_plan_said_is_what_happens_and_only_prometheus_reloads(stack: Project) -> None:
    before = stack.pids()
    alerts = {"MemoryHigh": {"threshold": 77, "for": "90s"}}
    stack.write(monitoring={**stack.spec["monitoring"], "alerts": alerts})
    plan = json.loads(stack.run("plan", "--json", "--out", "change.plan", code=100).stdout)
    assert {s["service"]: s["action"] for s in plan["steps"]} == {
        "redis": "nothing",
        "app": "nothing",
        "alertmanager": "nothing",
        "prometheus": "reload",
        "scheduler": "nothing",
    }
    counts = {**dict.fromkeys(plan["summary"]["services"], 0), "reload": 1, "nothing": 4}
    assert plan["summary"]["services"] == counts
    stack.run("up", "--plan", "change.plan", "--dry-run", code=100)
    done = json.loads(stack.run("up", "--plan", "change.plan", "--json").stdout)
    assert done["summary"] == plan["summary"]
    assert [(s["service"], s["action"], s["reason"]) for s in done["steps"]] == [
        (s["service"], s["action"], s["reason"]) for s in plan["steps"]
    ]
    last = stack.applies()[-1]
    assert {path for path, _ in last.files} == {f["path"] for f in plan["files"]}
    assert [step.service for step in last.steps] == ["prometheus"]
    assert stack.pids() == before
    assert loaded_threshold(stack) == "77"
    stack.run("plan")
    spent = stack.run("up", "--plan", "change.plan", code=1).stderr
    assert "is out of date, so nothing was done" in spent
    assert "the last apply" in spent


def test_a_setting_that_fails_only_at_run_time_is_gone_back_from(stack: Project) -> None:
    before, pids, known = files(stack), stack.pids(), stack.applies()[-1].id
    wrong = stack.override(
        "redis/redis.conf.j2",
        '{% extends "builtin/redis/redis.conf.j2" %}{% block extra %}io-threads none{% endblock %}\n',
    )
    failed = stack.run("up", "--timeout", "10", code=1)
    assert "redis did not become ready" in failed.stderr
    assert "io-threads" in failed.stderr, "the log says why"
    assert "probe: connection refused" in failed.stderr
    assert f"went back to apply @{known}" in failed.stderr
    assert files(stack) == before
    after = stack.pids()
    assert after["redis"] not in {None, pids["redis"]}
    assert {n: p for n, p in after.items() if n != "redis"} == {n: p for n, p in pids.items() if n != "redis"}
    last = stack.applies()[-1]
    assert (last.result, last.back_to) == ("rolled-back", known)
    assert "redis did not become ready" in last.reason
    wrong.unlink()
    assert stack.findings(code=0) == {}
    stack.run("plan")


def test_rollback_needs_neither_spec_nor_templates_and_is_recorded(stack: Project) -> None:
    stack.write(notifications=notified({"critical": [{"kind": "slack", "url": "https://s.example/$x"}]}))
    stack.run("up")
    spec = stack.directory / "techsapo.yaml"
    spec.rename(stack.directory / "elsewhere.yaml")
    refused = stack.run("rollback", "@1", code=1)
    assert "reload   prometheus" in refused.stdout
    assert "--yes" in refused.stderr
    secrets = stack.state / "generated" / "secrets"
    assert any(path.name.startswith("notifications-") for path in secrets.iterdir())
    shown = stack.run("changes", "diff", "@1").stdout
    assert "holds a secret: content not shown" in shown
    assert "https://s.example" not in shown
    done = json.loads(stack.run("rollback", "@1", "--yes", "--json").stdout)
    assert (done["to"], done["went_back"]) == (1, None)
    assert loaded_threshold(stack) == "90"
    assert not secrets.exists(), "there was no secret then"
    assert stack.run("changes", "diff", "@1").stdout == "nothing differs from apply @1\n"
    assert stack.findings(code=0) == {}
    last = stack.applies()[-1]
    assert (last.command, last.restores, last.result) == ("rollback", 1, "ok")
    (stack.directory / "elsewhere.yaml").rename(spec)
