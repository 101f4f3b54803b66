"""Plan, apply, read back and go back with containers; and callers and disks that are not the usual ones."""

from __future__ import annotations

import grp
import json
import os
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from projects import Project, another_user, only_redis, small_spec
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

PROJECT = f"lab-changes-{os.getpid()}"
SECRETS = ("planted-redis-secret", "planted-provider-key")
UID = 64321


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = small_spec(
        project=PROJECT,
        nginx={"enabled": True, "listen": free_port(), "tls_listen": free_port(), "server_name": "localhost"},
        certificates={"site": {"names": ["localhost"]}},
        providers={
            "sim-a": {"kind": "simulated"},
            "sim-b": {"kind": "simulated"},
            "paid": {"kind": "openai", "model": "gpt-6.1-sol", "api_key": SECRETS[1]},
        },
    )
    spec["redis"]["password"] = SECRETS[0]
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


def threshold(stack: Project) -> str:
    """What MemoryHigh compares with in the running Prometheus."""
    groups = stack.ask("prometheus", "api/v1/rules")["data"]["groups"]
    queries = [r["query"] for g in groups for r in g["rules"] if r["name"] == "MemoryHigh"]
    return str(queries[0]).rpartition("> ")[2]


def changing(stack: Project) -> dict[str, str]:
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    return {s["service"]: s["action"] for s in plan["steps"] if s["action"] != "nothing"}


def test_an_up_that_was_interrupted_while_services_started_is_completed_by_the_next(stack: Project) -> None:
    assert [(e.result, e.reason[:11]) for e in stack.applies()] == [("failed", "interrupted"), ("ok", "")]
    assert stack.findings(code=0) == {}
    assert len(container_ids(PROJECT)) == 5


def test_nginx_speaks_tls_with_the_certificate_of_the_stack(stack: Project) -> None:
    context = ssl.create_default_context(cafile=str(stack.state / "certs" / "site" / "fullchain.pem"))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    url = f"https://localhost:{stack.spec['nginx']['tls_listen']}/ping"
    with urllib.request.urlopen(url, timeout=60, context=context) as answer:
        assert answer.status == 200


def test_docker_shows_no_secret_of_the_app_either(stack: Project) -> None:
    folder = stack.state / "generated" / "docker"
    shown = docker("container", "inspect", *container_ids(PROJECT).values()).stdout
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        shown += docker("compose", "-f", str(folder / file), "config").stdout
    shown += docker("image", "history", "--no-trunc", stack.applies()[-1].images["app"]).stdout
    assert "providers-paid-api_key" in shown, "the files of secrets are named"
    for secret in SECRETS:
        assert secret not in shown


def test_a_setting_that_fails_only_at_run_time_is_gone_back_from(stack: Project) -> None:
    before, known = container_ids(PROJECT), stack.applies()[-1].id
    wrong = stack.override(
        "redis/redis.conf.j2",
        '{% extends "builtin/redis/redis.conf.j2" %}{% block extra %}io-threads none{% endblock %}\n',
    )
    failed = stack.run("up", "--timeout", "20", code=1)
    wrong.unlink()
    assert "redis did not become ready" in failed.stderr
    assert "io-threads" in failed.stderr, "the log says why"
    assert f"went back to @{known}" in failed.stderr
    after = container_ids(PROJECT)
    assert {name for name in after if after[name] != before[name]} <= {"redis"}
    last = stack.applies()[-1]
    assert (last.result, last.back_to) == ("rolled-back", known)
    assert stack.findings(code=0) == {}
    stack.run("plan")


def test_a_reload_that_nginx_refuses_is_gone_back_from(stack: Project) -> None:
    before = container_ids(PROJECT)
    built_in = Path(__file__).parents[3] / "templates" / "nginx" / "nginx.conf.j2"
    # Only inside the stack's networks does a name resolve or not; the check can't know.
    more = "{% if servers[0].address.startswith('app') %}server nowhere:1 weight=1;{% endif %}\n"
    text = built_in.read_text(encoding="utf-8")
    wrong = stack.override(
        "nginx/nginx.conf.j2",
        text.replace("        keepalive ", f"        {more}        keepalive ", 1),
    )
    failed = stack.run("up", code=1)
    wrong.unlink()
    assert "nginx refuses its configuration" in failed.stderr
    assert 'host not found in upstream "nowhere' in failed.stderr
    assert "went back to @" in failed.stderr
    assert container_ids(PROJECT) == before, "it served all the time"
    assert stack.findings(code=0) == {}


def test_up_lets_a_paused_container_go_on(stack: Project) -> None:
    ids = container_ids(PROJECT)
    docker("pause", ids["app"])
    docker("stop", ids["nginx"])
    assert changing(stack) == {"app": "create", "nginx": "create"}
    stack.run("up", "--yes")
    assert container_ids(PROJECT) == ids
    assert stack.findings(code=0) == {}


def test_drift_sees_a_stopped_container_and_a_strange_one_and_up_mends_both(
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
    docker("stop", ids["redis"])
    report = json.loads(stack.run("drift", "--json", code=100).stdout)["findings"]
    said = {(f["kind"], f["name"]): f["what"] for f in report}
    assert "stopped" in said["service", "redis"]
    assert any(kind == "stranger" and "was not started by" in what for (kind, _), what in said.items())
    assert changing(stack) == {"redis": "create", "guest": "remove"}
    stack.run("up", "--yes")
    assert container_ids(PROJECT) == ids
    assert stack.findings(code=0) == {}


def test_rollback_goes_to_any_apply_without_the_spec_and_touches_what_differs_alone(stack: Project) -> None:
    good, before = stack.applies()[-1].id, container_ids(PROJECT)
    stack.write(monitoring={**stack.spec["monitoring"], "alerts": {"MemoryHigh": {"threshold": 77}}})
    assert changing(stack) == {"prometheus": "reload"}
    stack.run("up", "--yes")
    assert threshold(stack) == "77"
    spec = stack.directory / "techsapo.yaml"
    spec.rename(stack.directory / "elsewhere.yaml")
    done = json.loads(stack.run("rollback", f"@{good}", "--yes", "--json").stdout)
    (stack.directory / "elsewhere.yaml").rename(spec)
    actions = {s["service"]: s["action"] for s in done["steps"] if s["action"] != "nothing"}
    assert actions == {"prometheus": "reload"}
    assert threshold(stack) == "90"
    assert container_ids(PROJECT) == before
    assert stack.findings(code=0) == {}
    last = stack.applies()[-1]
    assert (last.command, last.restores, last.result) == ("rollback", good, "ok")
    stack.run("down", "--volumes", "--yes")
    assert [left_over(kind, PROJECT) for kind in ("container", "network", "volume")] == [[], [], []]


def test_a_caller_who_is_not_root_but_may_use_docker_runs_a_stack_with_secrets(
    lab_images: DockerLab,
) -> None:
    name = f"lab-user-{os.getpid()}"
    spec: dict[str, Any] = only_redis(project=name)
    spec["redis"]["password"] = SECRETS[0]
    spec["schedule"] = {"docker_socket": "/var/run/docker.sock"}
    spec["backup"] = {"offsite": {"restic": "遠く far", "password": SECRETS[1]}}
    with docker_project(lab_images, spec, "利用者 one") as made:
        made.directory.parent.chmod(0o755)
        for path in (made.directory, made.directory / "techsapo.yaml"):
            os.chown(path, UID, UID)
        made.environment = {"HOME": str(made.directory)}
        made.launcher = another_user(UID, groups=str(grp.getgrnam("docker").gr_gid))
        made.run("up", timeout=200)
        assert {path.stat().st_uid for path in made.state.rglob("*")} == {UID}
        port = made.spec["app"]["port"]

        def cached() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=60) as answer:
                cache = json.load(answer)["dependencies"]["cache"]
            return (cache["status"], cache["in_use"]) == ("healthy", "redis")

        wait_for(cached, what="the app logged in to Redis with the secret that it alone reads")
        assert made.findings(code=0) == {}
        made.write(redis={**made.spec["redis"], "password": "another"})
        made.run("up", "--yes", timeout=100)
        wait_for(cached, what="the app with the new secret")
        assert a_job_in_the_scheduler(made, name)["user"] == f"uid {UID}"
        an_audit_log_in_a_volume_is_summed_up_and_brought_back(made)
        made.run("down", "--volumes", "--yes")
        assert left_over("volume", name) == []


def an_audit_log_in_a_volume_is_summed_up_and_brought_back(made: Project) -> None:
    made.run("ask", "Dockerコンテナが起動しない", "--json")

    def requests() -> int:
        return int(json.loads(made.run("costs", "--json").stdout)["requests"])

    wait_for(lambda: requests() == 1, what="the question in the audit log")
    kept = json.loads(made.run("backup", "--json").stdout)
    assert {p["kind"] for p in kept["parts"]} == {"redis", "sqlite:app", "config"}
    assert json.loads(made.run("backup", "verify", "--deep", "--json").stdout)["ok"] is True
    made.run("ask", "Dockerコンテナがまた起動しない", "--json")
    wait_for(lambda: requests() == 2, what="a second question in the audit log")
    made.run("restore", kept["id"], "--yes")
    assert requests() == 1


def a_job_in_the_scheduler(made: Project, name: str) -> dict[str, Any]:
    """A run of `backup` in the scheduler's container, whose user is the stack's owner; its record."""
    container = container_ids(name)["scheduler"]
    user = docker("container", "inspect", "--format", "{{.Config.User}}", container).stdout.strip()
    assert user == f"{UID}:{UID}"
    file = str(made.directory / "techsapo.yaml")
    docker("exec", container, "python", "-m", "techsapo_ops", "jobs", "run", "backup", "--file", file)
    checks = json.loads(made.run("backup", "show", "--json").stdout)["checks"]
    assert checks["offsite"]["ok"] is True
    assert {path.stat().st_uid for path in made.state.rglob("*")} == {UID}
    found: dict[str, Any] = json.loads(made.run("jobs", "history", "backup", "--json").stdout)["runs"][0]
    assert found["result"] == "ok"
    return found
