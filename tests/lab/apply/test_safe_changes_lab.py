"""Plan, apply, read back and go back, with real servers on the native engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from applied import files, loaded_threshold
from fakes.notified import notified
from projects import Project, only_redis, project, small_spec
from servers import free_port, tcp_open, wait_for

from techsapo_ops.engines.native.supervisor import Supervisor

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec(
        engine="native", nginx={"enabled": True, "listen": free_port(), "tls_listen": free_port()}
    )
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s"}
    spec["monitoring"]["alerts"] = {"MemoryHigh": {"threshold": 77, "for": "90s"}}
    with project(spec, name="監視 プロジェクト") as made:
        made.run("up")
        yield made


def prometheus(stack: Project, path: str) -> Any:
    return stack.ask("prometheus", f"api/v1/{path}")["data"]


def test_durations_that_alertmanager_writes_its_own_way_are_no_difference(stack: Project) -> None:
    monitoring = stack.spec["monitoring"]
    alertmanager = {**monitoring["alertmanager"], "group_interval": "90s", "group_wait": "1m30s"}
    stack.write(
        monitoring={**monitoring, "alertmanager": alertmanager},
        notifications=notified(
            {
                "smtp": {
                    "smarthost": "mail.example.com:587",
                    "sender": "a@b.example",
                    "username": "u",
                    "password": "p",
                },
                "critical": [
                    {"kind": "email", "to": "c@d.example"},
                    {"kind": "slack", "url": "https://s.example/$x"},
                ],
            }
        ),
    )
    done = json.loads(stack.run("up", "--json").stdout)
    assert {s["service"] for s in done["steps"] if s["action"] != "nothing"} == {"alertmanager"}
    assert stack.findings(code=0) == {}


def test_a_reload_that_nginx_refuses_is_seen_by_its_config_hash_and_gone_back_from(stack: Project) -> None:
    # The app is started anew, and again on the way back: a certificate's names are names that it answers to.
    before, pids = files(stack), {**stack.pids(), "app": None}
    with socket.create_server(("127.0.0.1", stack.spec["nginx"]["tls_listen"])):
        stack.write(certificates={"site": {"names": ["lab.example.com"]}})
        failed = stack.run("up", code=1)
    assert (
        "nginx: the service runs a different configuration from the one applied: /nginx-config says"
        in failed.stderr
    )
    assert "Address already in use" in failed.stderr, "the log says why"
    assert "went back to apply @" in failed.stderr
    assert (files(stack), {**stack.pids(), "app": None}) == (before, pids)
    del stack.spec["certificates"]
    stack.write()
    assert stack.findings(code=0) == {}


def test_a_configuration_that_runs_but_was_not_applied_is_seen_and_mended_in_place(stack: Project) -> None:
    pids = stack.pids()
    rules = stack.state / "generated" / "prometheus" / "rules" / "alerts.yml"
    applied = rules.read_text(encoding="utf-8")
    rules.write_text(applied.replace("> 77", "> 55"), encoding="utf-8")
    pid = pids["prometheus"]
    assert pid is not None
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: loaded_threshold(stack) == "55", what="the foreign threshold")
    rules.write_text(applied, encoding="utf-8")
    assert "MemoryHigh" in stack.findings()["prometheus"]
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    assert [s["action"] for s in plan["steps"] if s["service"] == "prometheus"] == ["reload"]
    stack.run("up")
    assert loaded_threshold(stack) == "77"
    assert stack.pids() == pids
    assert stack.findings(code=0) == {}


def test_drift_names_an_edited_file_a_missing_one_and_a_stopped_service(stack: Project) -> None:
    config = stack.state / "generated"
    edited, missing = config / "nginx" / "nginx.conf", config / "systemd" / "techsapo.service"
    kept = edited.read_bytes()
    edited.write_bytes(kept + b"# mine\n")
    missing.unlink()
    supervisor = Supervisor(stack.layout.supervisor_socket)
    supervisor.stop("alertmanager", within=20)
    port = stack.spec["monitoring"]["alertmanager"]["port"]
    with socket.create_server(("127.0.0.1", port)):
        found = json.loads(stack.run("changes", "drift", "--json", code=100).stdout)["findings"]
    assert {(f["kind"], f["name"], f["what"].partition(" (pid")[0]) for f in found} >= {
        ("file", "nginx/nginx.conf", "was edited by hand"),
        ("file", "systemd/techsapo.service", "is missing"),
        ("service", "alertmanager", "is stopped"),
    }
    assert any(f["kind"] == "stranger" and str(port) in f["what"] for f in found)
    assert "# mine" in stack.run("changes", "diff").stdout
    assert "edited by hand" in stack.run("up", code=1).stderr
    stack.run("up", "--force")
    assert edited.read_bytes() == kept
    assert stack.findings(code=0) == {}


def test_a_reload_that_prometheus_refuses_is_told_and_it_runs_on_with_what_it_had(stack: Project) -> None:
    config = stack.state / "generated" / "prometheus" / "prometheus.yml"
    kept = config.read_bytes()
    config.write_bytes(kept + b"nonsense: true\n")
    pid = stack.pids()["prometheus"]
    for _ in range(2):  # the second one finds a server that said so before
        said = stack.run("restart", "--reload", "prometheus", code=1).stderr
        assert "prometheus refuses its new configuration and keeps the previous one" in said
        assert "`techsapo logs prometheus -n 20`" in said
    config.write_bytes(kept)
    assert (
        stack.run("restart", "--reload", "prometheus", "alertmanager").stderr
        == "reloaded alertmanager, prometheus\n"
    )
    assert stack.pids()["prometheus"] == pid
    assert stack.findings(code=0) == {}


def test_history_tells_every_apply_and_the_ledger_is_private(stack: Project) -> None:
    found = json.loads(stack.run("changes", "list", "--json").stdout)["applies"]
    assert [a["id"] for a in found] == list(range(1, len(found) + 1))
    assert {a["result"] for a in found} == {"ok", "rolled-back"}
    table = stack.run("changes", "list").stdout
    assert all(f"@{a['id']} " in table for a in found)
    ledger = stack.state / "ledger"
    modes = {path.stat().st_mode & 0o777 for path in ledger.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {ledger.stat().st_mode & 0o777, (ledger / "objects").stat().st_mode & 0o777} == {0o700}


def test_a_first_up_that_fails_keeps_what_is_good_and_the_next_one_completes() -> None:
    with project(only_redis(engine="native")) as made:
        with socket.create_server(("127.0.0.1", made.spec["app"]["port"])):
            failed = made.run("up", "--timeout", "5", code=1)
        assert "app can't use port" in failed.stderr
        assert "went back" not in failed.stderr
        assert tcp_open(made.spec["redis"]["port"])
        assert [a.result for a in made.applies()] == ["failed"]
        assert "no successful apply" in made.run("rollback", "--yes", code=1).stderr
        made.run("up")
        assert [a.result for a in made.applies()] == ["failed", "ok"]
        shutil.rmtree(made.state / "ledger")
        made.run("up")
        assert [a.result for a in made.applies()] == ["ok"], "a stack without a ledger is taken over"
