"""Plan, apply, read back and go back with containers; an interrupted or killed `up`; drift by hand."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from guarded_redis import fetched
from killed import POINTS, change_redis, killed_at
from monitoring_login import status
from projects import Project, small_spec
from servers import free_port, wait_for

from techsapo_ops.services.monitor import password_file

pytestmark = pytest.mark.lab

PROJECT = f"lab-changes-{os.getpid()}"
NAME = "ops.example.com"
SECRETS = ("planted-redis-secret", "planted-provider-key")


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = small_spec(
        project=PROJECT,
        nginx={"enabled": True, "listen": free_port(), "tls_listen": free_port()},
        certificates={"site": {"names": [NAME]}},
        providers={
            "sim-a": {"kind": "simulated"},
            "sim-b": {"kind": "simulated"},
            "paid": {"kind": "openai", "model": "gpt-6.1-sol", "api_key": SECRETS[1]},
        },
    )
    spec["redis"]["password"] = SECRETS[0]
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s"}
    spec["monitoring"]["exporters"]["blackbox"] = free_port()
    with docker_project(lab_images, spec, "取引 スタック") as made:
        interrupted_first_up(made)
        made.run("up", timeout=200)
        yield made


def interrupted_first_up(stack: Project) -> None:
    """Ctrl-C while services are started at the same time; what the next `up` has to deal with."""
    process = stack.popen("up")
    assert process.stderr is not None
    while "started in" not in (line := process.stderr.readline()):
        assert line, "it ended before it started anything"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "`techsapo up` completes the apply" in said


def changing(stack: Project) -> dict[str, str]:
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    return {s["service"]: s["action"] for s in plan["steps"] if s["action"] != "nothing"}


def test_an_up_that_was_interrupted_while_services_started_is_completed_by_the_next(stack: Project) -> None:
    assert [(e.result, e.reason[:11]) for e in stack.applies()] == [("failed", "interrupted"), ("ok", "")]
    assert stack.findings(code=0) == {}
    assert len(container_ids(PROJECT)) == 6


def test_the_front_is_asked_by_tls_under_its_outside_name_by_an_exporter_that_has_no_key(
    stack: Project,
) -> None:
    front = 'probe_success{name="nginx"}'
    wait_for(lambda: [r["value"][1] for r in stack.query(front)] == ["1"], what="the front answers")
    (shown,) = stack.query('probe_ssl_last_chain_info{job="techsapo-probes"}')
    assert shown["metric"]["subjectalternative"] == NAME
    folder, exporter = "/etc/techsapo/certs/site", container_ids(PROJECT)["blackbox-exporter"]
    read = {
        name: docker("exec", exporter, "cat", f"{folder}/{name}", check=False).returncode == 0
        for name in ("fullchain.pem", "privkey.pem")
    }
    assert read == {"fullchain.pem": True, "privkey.pem": False}


def test_docker_shows_no_secret_of_the_app_either(stack: Project) -> None:
    folder = stack.state / "generated" / "docker"
    shown = docker("container", "inspect", *container_ids(PROJECT).values()).stdout
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        shown += docker("compose", "-f", str(folder / file), "config").stdout
    shown += docker("image", "history", "--no-trunc", stack.applies()[-1].images["app"]).stdout
    assert "providers-paid-api_key" in shown, "the files of secrets are named"
    for secret in SECRETS:
        assert secret not in shown


def test_a_new_password_of_prometheus_is_taken_over_by_running_containers(stack: Project) -> None:
    ids, old = container_ids(PROJECT), stack.login("prometheus")
    password_file(stack.layout, "prometheus").unlink()
    stack.run("up", "--yes")
    assert container_ids(PROJECT) == ids
    assert status(stack, "prometheus", "metrics", **old) == 401
    assert status(stack, "prometheus", "metrics", **stack.login("prometheus")) == 200


def test_a_reload_that_nginx_refuses_is_gone_back_from(stack: Project) -> None:
    before = container_ids(PROJECT)
    built_in = Path(__file__).parents[3] / "templates" / "nginx" / "nginx.conf.j2"
    # Only inside the stack's networks does a name resolve or not; the check can't know.
    more = "{% if upstream.servers[0].address.startswith('app') %}server nowhere:1 weight=1;{% endif %}\n"
    text = built_in.read_text(encoding="utf-8")
    wrong = stack.override(
        "nginx/nginx.conf.j2",
        text.replace("        keepalive ", f"        {more}        keepalive ", 1),
    )
    failed = stack.run("up", code=1)
    wrong.unlink()
    assert "nginx refuses its configuration" in failed.stderr
    assert 'host not found in upstream "nowhere' in failed.stderr
    assert "went back to apply @" in failed.stderr
    assert container_ids(PROJECT) == before, "it served all the time"
    assert stack.findings(code=0) == {}


def test_drift_sees_what_was_stopped_paused_made_anew_or_is_strange_and_up_mends_it_all(
    stack: Project, lab_images: DockerLab
) -> None:
    ids = container_ids(PROJECT)
    label = f"com.docker.compose.project={PROJECT}"
    form = '{{index .Config.Labels "com.docker.compose.project.working_dir"}}'
    folder = docker("container", "inspect", "--format", form, ids["redis"]).stdout.strip()
    docker(
        "run", "--detach", "--stop-signal", "KILL", "--label", label,
        "--label", "com.docker.compose.service=guest",
        "--label", f"com.docker.compose.project.working_dir={folder}", "--entrypoint", "sleep",
        lab_images.images["redis"], "600",
    )  # fmt: skip
    override = stack.directory / "override.yml"
    override.write_text(yaml.safe_dump({"services": {"redis": {"environment": {"BY": "hand"}}}}))
    file = stack.state / "generated/docker/production/docker-compose.prod.yml"
    docker("compose", "-f", str(file), "-f", str(override), "up", "-d", "--no-deps", "redis")
    docker("pause", ids["app"])
    docker("stop", ids["nginx"])
    report = json.loads(stack.run("changes", "drift", "--json", code=100).stdout)["findings"]
    said = {(f["kind"], f["name"]): f["what"] for f in report}
    assert "stopped" in said["service", "nginx"]
    assert any(kind == "stranger" and "was not started by" in what for (kind, _), what in said.items())
    assert changing(stack) == {"redis": "recreate", "app": "create", "nginx": "create", "guest": "remove"}
    stack.run("up", "--yes")
    after = container_ids(PROJECT)
    assert {name for name in after if after[name] != ids[name]} == {"redis"}
    assert stack.findings(code=0) == {}


def test_up_starts_what_docker_kill_has_ended_and_not_what_was_stopped_nor_for_what_needs_it(
    stack: Project,
) -> None:
    said = stack.run("stop", "redis").stderr
    assert "still running, although they depend on a stopped service: " in said
    before = container_ids(PROJECT)
    docker("kill", *(container for name, container in before.items() if name != "redis"))
    assert {s["state"] for s in json.loads(stack.run("ps", "--json").stdout)["services"]} == {"stopped"}
    assert "no container of this stack is running" in stack.run("ps").stderr
    docker("rm", before["nginx"])
    stack.run("up", "--yes")
    after = container_ids(PROJECT)
    assert {name for name in after if after[name] != before[name]} == {"nginx"}, "the others with their data"
    found = {s["service"]: s for s in json.loads(stack.run("ps", "--json").stdout)["services"]}
    assert found["redis"]["state"] == "stopped"
    assert found["redis"]["stopped"]["by"]
    assert {s["state"] for name, s in found.items() if name != "redis"} <= {"running", "starting"}
    assert "redis: stopped by " in stack.run("ps").stderr
    stack.run("start", "redis")
    assert stack.findings(code=0) == {}


def in_redis() -> str:
    """The redis.conf that the running container sees."""
    container = container_ids(PROJECT)["redis"]
    command = docker("inspect", "--format", "{{json .Config.Cmd}}", container).stdout
    return docker("exec", container, "cat", json.loads(command)[-1]).stdout


def written(stack: Project) -> str:
    """The redis.conf that the container of Redis was made with last."""
    return (stack.state / "generated" / "docker" / "config" / "redis" / "redis.conf").read_text()


def test_an_up_that_was_killed_is_completed_by_the_next_one_also_if_that_is_killed(stack: Project) -> None:
    """Before and after the container of Redis was started anew; `tests/core` has every point."""
    app, mark, points = container_ids(PROJECT)["app"], change_redis(stack), ("files", "services")
    for point in points:
        killed_at(stack, point, "up")
    assert "finishing it now" in stack.run("up", "--verbose").stderr
    assert mark in in_redis()
    assert in_redis() == written(stack)
    *_, first, second, last = stack.applies()
    assert (first.result, second.result, last.result) == ("failed", "failed", "ok")
    for point, killed in zip(points, (first, second), strict=True):
        assert POINTS[point] in killed.reason
    assert container_ids(PROJECT)["app"] == app, "what did not change was not touched"


def test_an_up_that_was_killed_is_undone_by_rollback(stack: Project) -> None:
    before, good = written(stack), stack.applies()[-1]
    change_redis(stack)
    killed_at(stack, "services", "up")
    assert "interrupted" in stack.run("changes", "drift", code=100).stdout
    done = json.loads(stack.run("rollback", "--yes", "--json").stdout)
    assert done["to"] == good.id
    assert in_redis() == written(stack) == before
    assert stack.findings(code=0) == {}


def test_the_generated_files_run_with_plain_docker_compose_and_up_takes_that_over(stack: Project) -> None:
    """`up` made the passwords and keys."""
    assert "redis" in stack.run("down").stderr
    assert left_over("container", PROJECT) == left_over("network", PROJECT) == []
    assert left_over("volume", PROJECT), "without --volumes the data stays"
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        path = stack.state / "generated/docker" / file
        docker("compose", "-f", str(path), "up", "-d", "--wait", "--no-build", "--pull", "never", timeout=200)
    wait_for(lambda: cached(stack), what="the app on Redis")
    mark = change_redis(stack)
    stack.run("up", "--yes")
    assert mark in in_redis()
    stack.run("plan")
    wait_for(lambda: cached(stack), what="the app on Redis")
    stack.run("down", "--volumes", "--yes")
    assert [left_over(kind, PROJECT) for kind in ("container", "network", "volume")] == [[], [], []]


def cached(stack: Project) -> bool:
    """Whether the app says that its cache is Redis, and that this is well."""
    try:
        told = json.loads(fetched(stack.spec["app"]["port"], "/api/v1/health"))
    except OSError:
        return False
    cache = told["dependencies"]["cache"]
    return (cache["status"], cache["in_use"]) == ("healthy", "redis")
