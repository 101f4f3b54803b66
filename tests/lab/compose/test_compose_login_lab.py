"""The login of Prometheus and Alertmanager in containers: strangers, health checks, reloads."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project
from monitoring_login import KINDS, alert_arrives, all_log_in, status
from projects import Project, small_spec
from servers import wait_for

from techsapo_ops.services.web_login import password_file

pytestmark = pytest.mark.lab

PROJECT = "lab-login"


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = small_spec(project=PROJECT, engine="compose")
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    spec["monitoring"]["alertmanager"]["group_wait"] = "1s"
    with docker_project(lab_images, spec, "監視 login") as made:
        made.run("up", "--yes", timeout=300)
        yield made


def looked_at(container: str, form: str) -> str:
    return docker("container", "inspect", "--format", form, container).stdout.strip()


def test_all_that_belong_to_the_stack_log_in_and_nobody_else(stack: Project) -> None:
    all_log_in(stack)
    alert_arrives(stack)
    for kind, path in (
        ("prometheus", "-/quit"),
        ("prometheus", "-/reload"),
        ("alertmanager", "api/v2/silences"),
    ):
        assert status(stack, kind, path, b"{}", **{"Content-Type": "text/plain"}) == 401
    for kind in KINDS:
        assert status(stack, kind, "metrics") == 401
    assert status(stack, "prometheus", "-/quit", b"", **stack.login("prometheus")) == 403


def test_nothing_of_the_password_is_shown_by_docker(stack: Project) -> None:
    shown = docker("container", "inspect", *container_ids(PROJECT).values()).stdout
    for kind in KINDS:
        assert password_file(stack.layout, kind).read_text() not in shown
    stack.run("plan")
    assert stack.findings(code=0) == {}


def test_a_changed_threshold_is_taken_over_by_a_signal_from_inside(stack: Project) -> None:
    before = container_ids(PROJECT)
    stack.write(monitoring={**stack.spec["monitoring"], "alerts": {"MemoryHigh": {"threshold": 77}}})
    done = json.loads(stack.run("up", "--yes", "--json").stdout)
    assert {s["service"]: s["action"] for s in done["steps"] if s["action"] != "nothing"} == {
        "prometheus": "reload"
    }
    assert "> 77" in json.dumps(stack.ask("prometheus", "api/v1/rules"))
    assert stack.run("reload", "prometheus", "alertmanager").stderr == "reloaded alertmanager, prometheus\n"
    assert container_ids(PROJECT) == before


def test_a_container_that_was_sent_the_signal_is_started_again_when_it_ends(stack: Project) -> None:
    ids = container_ids(PROJECT)
    pid = looked_at(ids["prometheus"], "{{.State.Pid}}")
    docker("exec", ids["prometheus"], "sh", "-c", "kill -TERM 1")

    def again() -> bool:
        state, now = looked_at(ids["prometheus"], "{{.State.Status}} {{.State.Pid}}").split()
        return state == "running" and now not in {pid, "0"}

    wait_for(again, timeout=60, what="Prometheus again")
    stack.well()


def test_a_reload_that_prometheus_refuses_is_told(stack: Project) -> None:
    config = stack.state / "generated" / "docker" / "config" / "prometheus" / "prometheus.yml"
    kept = config.read_bytes()
    config.write_bytes(kept + b"nonsense: true\n")
    said = stack.run("reload", "prometheus", code=1).stderr
    assert "prometheus refuses its configuration, and runs on with what it had" in said
    config.write_bytes(kept)
    stack.run("reload", "prometheus")
    assert stack.findings(code=0) == {}


def test_a_new_password_is_taken_over_by_running_containers(stack: Project) -> None:
    ids, old = container_ids(PROJECT), stack.login("prometheus")
    password_file(stack.layout, "prometheus").unlink()
    stack.run("up", "--yes")
    assert container_ids(PROJECT) == ids
    assert status(stack, "prometheus", "metrics", **old) == 401
    all_log_in(stack)


def test_a_stack_without_the_login_gets_it_by_one_up(stack: Project) -> None:
    stack.write(edition=1)
    stack.run("up", "--yes", timeout=200)
    assert [status(stack, kind, "metrics") for kind in KINDS] == [200, 200]
    stack.run("reload", "prometheus", "alertmanager")
    stack.write(edition=2)
    stack.run("up", "--yes", timeout=200)
    assert [status(stack, kind, "metrics") for kind in KINDS] == [401, 401]
    all_log_in(stack)
    stack.run("plan")
    stack.run("down", "--volumes", "--yes")
    assert not list(stack.layout.keys.glob("prometheus*")), "the passwords go with the data"
