"""The compose engine on a real daemon: twelve services, looked at, killed and halted."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from applied import loaded_threshold
from docker_lab import DockerLab, container_ids, docker, docker_project, full_spec, left_over
from fakes.notified import notified
from monitoring_login import KINDS, alert_arrives, status
from projects import Project
from servers import http_ok, wait_for

from techsapo_ops.adapters.build import code, code_of
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.services.monitor import password_file
from techsapo_ops.stack.engine import Engine

pytestmark = pytest.mark.lab

PROJECT = f"lab-compose-{os.getpid()}"
SECRETS = ("planted-redis-secret", "planted-mysql-secret", "planted-slack-path")
FOLDER = "監視 スタック with blanks"


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = full_spec(PROJECT)
    del spec["app"]["instances"][2]
    spec["redis"]["password"] = SECRETS[0]
    spec["mysql"]["password"] = SECRETS[1]
    spec["providers"] = {
        "sim-a": {"kind": "simulated", "latency": "100ms"},
        "sim-b": {"kind": "simulated", "latency": "100ms"},
    }
    spec["notifications"] = notified(
        {
            "critical": [{"kind": "slack", "url": f"https://hooks.example.com/{SECRETS[2]}"}],
            "warning": [],
        }
    )
    spec["monitoring"]["alerts"] = {"MemoryHigh": {"threshold": 0.001, "for": "1s"}}
    with docker_project(lab_images, spec, FOLDER) as made:
        made.run("up", timeout=400)
        yield made


def all_well() -> bool:
    """Whether every container runs, and is healthy where it has a check; one call, as it is waited for."""
    label = f"label=com.docker.compose.project={PROJECT}"
    said = docker("ps", "--all", "--filter", label, "--format", "{{.Status}}").stdout.splitlines()
    return bool(said) and all(re.fullmatch(r"Up [^(]+(\(healthy\))?", status) for status in said)


def wait_healthy(stack: Project) -> list[dict[str, Any]]:
    """Wait until `techsapo health` says healthy, every target scraped; its probes."""
    said: dict[str, Any] = {}
    wait_for(lambda: {each["value"][1] for each in stack.query("up")} == {"1"}, what="every target scraped")

    def healthy() -> bool:
        said.update(stack.health())
        targets = [p for p in said["probes"] if p["kind"] == "target"]
        return said["status"] == "healthy" and {t["status"] for t in targets} == {"healthy"}

    try:
        wait_for(healthy, what="healthy")
    except AssertionError as error:
        failing = [f"{p['name']}: {p['detail']}" for p in said["probes"] if p["status"] != "healthy"]
        raise AssertionError("; ".join(failing)) from error
    return list(said["probes"])


def test_up_brings_every_service_and_health_says_healthy(stack: Project) -> None:
    services = json.loads(stack.run("ps", "--json").stdout)["services"]
    assert {s["state"] for s in services} <= {"running", "starting"}
    assert len(services) == 12

    assert {s["build"] for s in services} == {None, code()}, "the image's own label"

    probes = wait_healthy(stack)
    told = {p["build"] for p in probes if p["kind"] == "app"}
    assert {code_of(build) for build in told} == {code()}, "the same code as on the host, on another Python"
    assert [p["hint"] for p in probes if p["kind"] == "app"] == ["", ""]
    well = {p["name"] for p in probes if p["status"] == "healthy"}
    exported = {"nginx-exporter", "target node-exporter node-exporter", "blackbox-exporter", "probe nginx"}
    assert {"redis", "mysql", "app-2", *exported} <= well


def test_a_question_is_answered_through_nginx(stack: Project) -> None:
    answer = json.loads(stack.run("ask", "Dockerコンテナが起動しない", "--json").stdout)
    assert answer["simulated"] is True
    assert http_ok(f"http://127.0.0.1:{stack.spec['nginx']['listen']}/ping")


def front(stack: Project) -> str:
    return f"http://127.0.0.1:{stack.spec['nginx']['listen']}"


def test_users_are_turned_away_by_nginx_in_its_container_until_maintenance_ends(stack: Project) -> None:
    before = container_ids(PROJECT)
    stack.run("maintenance", "on", "--until", "2h", "--message", "新しいディスクへ")
    told = httpx.post(f"{front(stack)}/api/v1/generate", json={"prompt": "x"}, timeout=60, trust_env=False)
    assert (told.status_code, told.json()["code"]) == (503, "maintenance")
    assert http_ok(f"{front(stack)}/ping")
    page = httpx.get(front(stack), headers={"Accept": "text/html"}, timeout=60, trust_env=False)
    assert (page.status_code, "新しいディスクへ" in page.text) == (503, True)
    assert "maintenance since" in stack.run("ps").stderr
    stack.run("maintenance", "off")
    assert httpx.get(front(stack), timeout=60, trust_env=False).status_code == 200
    assert container_ids(PROJECT) == before


def test_a_keyed_question_goes_on_where_the_container_of_its_instance_dies(stack: Project) -> None:
    def post(number: int) -> httpx.Response:
        body, key = {"prompt": f"disk full {number}"}, {"Idempotency-Key": f"key-{number}"}
        url = f"{front(stack)}/api/v1/generate"
        return httpx.post(url, json=body, headers=key, timeout=120, trust_env=False)

    container = container_ids(PROJECT)["app-1"]
    pid = int(docker("container", "inspect", "--format", "{{.State.Pid}}", container).stdout)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(post, number) for number in range(40)]
        wait_for(lambda: sum(each.done() for each in asked) >= 8, what="questions are answered")
        os.kill(pid, signal.SIGKILL)
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    again = [post(number) for number in (0, 39)]
    assert [each.headers["Idempotency-Replayed"] for each in again] == ["true", "true"]
    assert [each.text for each in again] == [answers[0].text, answers[39].text]
    wait_for(all_well, what="all well")


def test_an_idle_up_changes_nothing_and_neither_does_a_plain_docker_compose_up(stack: Project) -> None:
    before = container_ids(PROJECT)
    wait_for(all_well, what="every health check passed once")
    assert "up to date" in stack.run("up", "--yes").stderr
    folder = stack.state / "generated" / "docker"
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        docker("compose", "-f", str(folder / file), "up", "-d", "--wait")
    assert container_ids(PROJECT) == before


def test_nothing_private_listens_on_this_host(stack: Project) -> None:
    form = "{{.Names}} {{.Ports}}"
    label = f"label=com.docker.compose.project={PROJECT}"
    said = docker("ps", "--filter", label, "--format", form).stdout
    published = {line.split()[0]: line for line in said.splitlines() if "->" in line}
    assert set(published) == {
        f"{PROJECT}-{name}-1" for name in ("app-1", "app-2", "nginx", "prometheus", "alertmanager")
    }
    assert not re.search(r"(0\.0\.0\.0|\[::\]):\d", said)


def test_docker_shows_no_secret(stack: Project) -> None:
    folder = stack.state / "generated" / "docker"
    shown = docker("container", "inspect", *container_ids(PROJECT).values()).stdout
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        shown += docker("compose", "-f", str(folder / file), "config").stdout
    assert "redis-password" in shown, "the files of secrets are named"
    for secret in (*SECRETS, *(password_file(stack.layout, kind).read_text() for kind in KINDS)):
        assert secret not in shown
    inside = stack_exec("app-1", "cat", "/run/secrets/redis-password")
    assert inside == SECRETS[0], "yet the app's user reads its copy"


def stack_exec(service: str, *argv: str) -> str:
    return docker("exec", container_ids(PROJECT)[service], *argv).stdout


def test_containers_are_confined(stack: Project) -> None:
    for entry in json.loads(docker("container", "inspect", *container_ids(PROJECT).values()).stdout):
        host, config = entry["HostConfig"], entry["Config"]
        assert host["ReadonlyRootfs"], entry["Name"]
        assert host["CapDrop"] == ["ALL"], entry["Name"]
        assert "no-new-privileges:true" in host["SecurityOpt"], entry["Name"]
        assert int(config["User"].partition(":")[0]) > 0, entry["Name"]
        assert host["Memory"] > 0, entry["Name"]
        assert host["PidsLimit"] > 0, entry["Name"]
        assert host["RestartPolicy"]["Name"] == "unless-stopped", entry["Name"]


def test_node_exporter_sees_the_hosts_files_but_no_secret(stack: Project) -> None:
    stack.directory.parent.chmod(0o711)  # as folders of projects are, so that the files' own modes count
    generated = stack.state / "generated/docker"
    exporter = container_ids(PROJECT)["node-exporter"]

    def reads(path: Path) -> bool:
        return docker("exec", exporter, "cat", f"/host{path}", check=False).returncode == 0

    assert reads(generated / "docker-compose.monitoring.yml")
    secrets = [*(generated / "secrets").iterdir(), *(stack.state / "keys").iterdir()]
    assert secrets
    assert [path.name for path in secrets if reads(path)] == []


def test_node_exporter_reports_the_hosts_memory_file_system_and_network(stack: Project) -> None:
    wait_for(lambda: bool(stack.query("node_memory_MemTotal_bytes")), what="node exporter scraped")
    total = int(re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024  # type: ignore[index]
    assert float(stack.query("node_memory_MemTotal_bytes")[0]["value"][1]) == total
    facts = os.statvfs("/")
    root = stack.query('node_filesystem_size_bytes{mountpoint="/"}')
    assert [float(r["value"][1]) for r in root] == [facts.f_blocks * facts.f_frsize]
    seen = {r["metric"]["device"] for r in stack.query("node_network_receive_bytes_total")}
    own = {path.name for path in Path("/sys/class/net").iterdir() if path.name != "bonding_masters"}
    assert {"lo", "docker0"} <= seen
    # Not those of its container; other stacks' come and go.
    assert {name for name in seen ^ own if not name.startswith(("veth", "br-", "to-"))} == set()


def test_node_exporter_listens_where_containers_reach_the_host_and_nowhere_else(stack: Project) -> None:
    at = stack.spec["monitoring"]["exporters"]["node"]
    bound = {c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == at and c.status == "LISTEN"}
    bridge = docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}")
    assert bound == {bridge.stdout.strip()}
    assert not http_ok(f"http://127.0.0.1:{at}/metrics")


def test_strangers_get_nothing_of_prometheus_and_alertmanager(stack: Project) -> None:
    for kind in KINDS:
        assert status(stack, kind, "metrics") == 401
    for kind, path in (("prometheus", "-/reload"), ("alertmanager", "api/v2/silences")):
        assert status(stack, kind, path, b"{}") == 401
    assert status(stack, "prometheus", "-/quit", b"", **stack.login("prometheus")) == 403


def test_an_alert_reaches_alertmanager_and_a_changed_threshold_reloads_prometheus_alone(
    stack: Project,
) -> None:
    alert_arrives(stack, "MemoryHigh")
    before = container_ids(PROJECT)
    alerts = {"MemoryHigh": {"threshold": 77, "for": "1s"}}
    stack.write(monitoring={**stack.spec["monitoring"], "alerts": alerts})
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    changing = {s["service"]: s["action"] for s in plan["steps"] if s["action"] != "nothing"}
    assert changing == {"prometheus": "reload"}
    done = json.loads(stack.run("up", "--yes", "--json").stdout)
    assert {s["service"]: s["action"] for s in done["steps"] if s["action"] != "nothing"} == changing
    assert container_ids(PROJECT) == before
    assert loaded_threshold(stack) == "77"


def test_every_service_whose_process_is_killed_comes_back_by_itself_also_after_a_reload(
    stack: Project,
) -> None:
    # A signal by `docker kill` would end the restart policy.
    assert "reloaded" in stack.run("restart", "--reload", "prometheus", "nginx", "alertmanager").stderr
    before = container_ids(PROJECT)
    form = "{{.State.Pid}}"
    pids = docker("container", "inspect", "--format", form, *before.values()).stdout.split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)

    def back() -> bool:
        now = docker("container", "inspect", "--format", form, *before.values()).stdout.split()
        return all_well() and not set(now) & {*pids, "0"}

    wait_for(back, timeout=90, what="every container again")
    assert container_ids(PROJECT) == before
    counts = {s["service"]: s["restarts"] for s in json.loads(stack.run("ps", "--json").stdout)["services"]}
    assert all(count >= 1 for count in counts.values()), counts
    wait_for(
        lambda: http_ok(f"http://127.0.0.1:{stack.spec['nginx']['listen']}/ping"),
        what="nginx reaches the apps at their new addresses",
    )


def test_logs_of_all_containers_are_merged_and_followed(stack: Project) -> None:
    merged = [json.loads(line) for line in stack.run("logs", "-n", "0", "--json").stdout.splitlines()]
    assert {"redis", "prometheus", "app-1"} <= {line["service"] for line in merged}
    times = [line["time"] for line in merged]
    assert times == sorted(times)
    assert "Ready to accept" in stack.run("logs", "redis", "-n", "0", "--grep", "Ready to accept").stdout
    follower = stack.popen("logs", "redis", "-f", "-n", "1", "--json")
    assert follower.stdout is not None
    follower.stdout.readline()
    stack.run("restart", "redis")
    assert json.loads(follower.stdout.readline())["service"] == "redis"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(60) == 130


def engine_of(stack: Project) -> Engine:
    made = open_project(stack.directory / "techsapo.yaml")
    return open_stack(made).engine


def test_exec_logs_in_inside_the_containers(stack: Project) -> None:
    assert stack.run("exec", "redis", "redis-cli", "PING").stdout == "PONG\n"
    users = stack.run("exec", "mysql", "mariadb", "-N", "-e", "SELECT CURRENT_USER()").stdout
    assert users.startswith("root@")
    stack.run("exec", "app-2", "sh", "-c", "exit 7", code=7)


def test_status_reads_every_part(stack: Project) -> None:
    # Prometheus still looks for what is back: whether each probe is well at this moment is not asked here.
    told = json.loads(stack.popen("status", "--json", "--timeout", "60").communicate(timeout=90)[0])
    assert told["unread"] == {}
    assert told["drift"]["findings"] == []


def test_an_app_image_that_nothing_needs_any_more_is_removed_and_no_other(stack: Project) -> None:
    containers = container_ids(PROJECT)
    old, foreign = f"techsapo/app:old-{os.getpid()}", f"techsapo-lab-own:{os.getpid()}"
    ids = [docker("commit", containers["redis"], name).stdout.strip() for name in (old, foreign)]
    form = ("container", "inspect", "--format", "{{.Image}} {{.Config.Image}}", containers["app-1"])
    used, reference = docker(*form).stdout.split()
    try:
        engine_of(stack).discard({*ids, used})
        present = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        assert (old in present, foreign in present, reference in present) == (False, True, True)
    finally:
        docker("image", "rm", old, foreign, check=False)


def test_doctor_lacks_nothing(stack: Project) -> None:
    found = json.loads(stack.run("doctor", "--json").stdout)
    assert found["complete"] is True
    assert {f["level"] for f in found["findings"] if f["topic"] == "image"} == {"ok"}


def test_the_checks_run_inside_the_images_where_the_host_has_docker_alone(
    stack: Project, tmp_path: Path
) -> None:
    (tmp_path / "docker").symlink_to(Path("/usr/bin/docker"))
    stack.environment["PATH"] = str(tmp_path)
    try:
        broken = stack.directory / "template-overrides/prometheus/rules.yml.j2"
        broken.parent.mkdir(parents=True)
        broken.write_text("groups: [{name: broken, rules: [{alert: A, expr: 'sum(('}]}]\n")
        before = container_ids(PROJECT)
        refused = stack.run("up", "--yes", code=1)
        assert "promtool refuses docker/config/prometheus/rules" in refused.stderr
        assert container_ids(PROJECT) == before
        broken.unlink()
        said = stack.run("config", "generate")
        assert "is not installed" not in said.stderr, "no tool is missing"
    finally:
        del stack.environment["PATH"]


def test_down_leaves_nothing(stack: Project) -> None:
    stack.run("down", "--volumes", "--yes")
    assert [left_over(kind, PROJECT) for kind in ("container", "network", "volume")] == [[], [], []]
    listed = json.loads(stack.run("ps", "--json").stdout)
    assert (listed["running"], listed["services"]) == (False, [])
