"""Prometheus and Alertmanager of a new stack, asked by strangers of this host and by its own services."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killed import killed_at
from monitoring_login import KINDS, alert_arrives, all_log_in, silences, status
from projects import Project, project, small_spec
from rows import each_row
from servers import binary

from techsapo_ops.services.monitor import password_file

pytestmark = pytest.mark.lab

DOCS = Path(__file__).parents[3] / "docs"
SILENCE = {
    "matchers": [{"name": "alertname", "value": ".+", "isRegex": True}],
    "startsAt": "2026-01-01T00:00:00Z",
    "endsAt": "2036-01-01T00:00:00Z",
    "createdBy": "stranger",
    "comment": "quiet",
}
ORDERS = (
    ("prometheus", "-/quit"),
    ("prometheus", "-/reload"),
    ("prometheus", "api/v1/admin/tsdb/snapshot"),
    ("prometheus", "api/v1/admin/tsdb/delete_series?match[]=up"),
    ("alertmanager", "-/quit"),
    ("alertmanager", "-/reload"),
    ("alertmanager", "api/v2/silences"),
)
QUESTIONS = (
    ("prometheus", "api/v1/query?query=up"),
    ("prometheus", "metrics"),
    ("prometheus", "graph"),
    ("prometheus", "federate?match[]=up"),
    ("alertmanager", "api/v2/alerts"),
    ("alertmanager", "api/v2/status"),
    ("alertmanager", "metrics"),
)


def monitoring_with(stack: Project, *, login: bool) -> dict[str, Any]:
    """The section `monitoring` of the spec, with the login on or off by name."""
    now = stack.spec["monitoring"]
    return {**now, **{kind: {**now[kind], "login": login} for kind in KINDS}}


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec(engine="native")
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s"}
    spec["monitoring"]["alertmanager"]["group_wait"] = "1s"
    # By the time that it fires Prometheus knows its Alertmanager.
    spec["monitoring"]["alerts"] = {"MemoryHigh": {"threshold": 0, "for": "10s"}}
    spec["backup"] = {"prometheus": True}
    with project(spec, "監視 プロジェクト") as made:
        made.run("up")
        yield made


@each_row("given", [{}, {"Authorization": "Basic dGVjaHNhcG86dGVjaHNhcG8="}], ids=["none", "wrong"])
def test_without_the_password_nobody_asks_silences_quits_reloads_or_takes_a_snapshot(
    stack: Project, given: dict[str, str]
) -> None:
    pids = stack.pids()
    body = json.dumps(SILENCE).encode()
    for kind, path in ORDERS:
        assert status(stack, kind, path, body, **given) == 401, path
        assert status(stack, kind, path, body, **{**given, "Content-Type": "application/json"}) == 401, path
    for kind, path in QUESTIONS:
        assert status(stack, kind, path, **given) == 401, path
    assert silences(stack) == []
    assert stack.pids() == pids
    assert not list((stack.layout.data / "prometheus").glob("snapshots/*"))


def test_with_the_password_there_is_no_order_to_quit_and_a_form_of_another_site_silences_nothing(
    stack: Project,
) -> None:
    pids, login = stack.pids(), stack.login
    body = json.dumps(SILENCE).encode()
    assert status(stack, "prometheus", "-/quit", b"", **login("prometheus")) == 403
    assert status(stack, "prometheus", "-/reload", b"", **login("prometheus")) == 403
    assert status(stack, "alertmanager", "-/quit", b"", **login("alertmanager")) == 404
    assert status(stack, "alertmanager", "api/v2/silences", body, **login("alertmanager")) == 415
    assert silences(stack) == []
    assert stack.pids() == pids


def test_all_that_belong_to_the_stack_log_in(stack: Project) -> None:
    all_log_in(stack)
    stack.run("backup", "--only", "prometheus")


def test_nothing_is_left_to_change(stack: Project) -> None:
    stack.run("plan")
    assert stack.findings(code=0) == {}


def test_the_passwords_are_for_their_readers_alone_and_on_no_command_line(stack: Project) -> None:
    passwords = {k: password_file(stack.layout, k).read_text() for k in KINDS}
    assert len(set(passwords.values())) == 2
    lines = [" ".join(p.cmdline()) + " ".join(p.environ().values()) for p in stack.members()]
    for secret in passwords.values():
        assert not [line for line in lines if secret in line]
        assert not [
            p for p in stack.state.rglob("*")
            if p.is_file() and p.parent != stack.layout.keys and secret.encode() in p.read_bytes()
        ]  # fmt: skip
    assert {stat.S_IMODE(p.stat().st_mode) for p in stack.layout.keys.iterdir() if p.is_file()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_of_this_host_reads_no_password(stack: Project) -> None:
    stack.directory.parent.chmod(0o755)
    stack.directory.chmod(0o755)
    files = [str(p) for p in stack.layout.keys.glob("*") if p.is_file()]
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--")
    done = subprocess.run([*user, "cat", *files], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.stderr.count("Permission denied") == len(files)


def test_promtool_amtool_and_curl_log_in_as_the_pages_say(stack: Project) -> None:
    ports = {9090: stack.spec["monitoring"]["prometheus"]["port"]}
    ports[9093] = stack.spec["monitoring"]["alertmanager"]["port"]
    commands, in_japanese = (
        re.findall(r"^(?:curl|promtool|amtool) .*$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        for page in ("alerts.md", "alerts.ja.md")
    )
    assert len(commands) == 3
    assert commands == in_japanese
    for command in commands:
        for documented, here in ports.items():
            command = command.replace(f":{documented}", f":{here}")
        done = subprocess.run(
            ["bash", "-ec", command], cwd=stack.directory, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{Path(binary('promtool')).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "techsapo-app" in done.stdout or "route:" in done.stdout, done.stdout


def test_a_new_password_is_taken_over_by_running_servers(stack: Project) -> None:
    alert_arrives(stack, "MemoryHigh")
    old, pids = stack.login("prometheus"), stack.pids()
    password_file(stack.layout, "prometheus").unlink()
    stack.run("up")
    assert stack.pids() == pids
    assert status(stack, "prometheus", "metrics", **old) == 401
    assert status(stack, "prometheus", "metrics", **stack.login("prometheus")) == 200
    all_log_in(stack)


@pytest.mark.nightly  # `tests/core/test_killed_apply.py` has every other change
def test_an_up_that_was_killed_while_it_brought_the_login_is_undone_or_completed(stack: Project) -> None:
    stack.write(monitoring=monitoring_with(stack, login=False))
    stack.run("up")
    assert "any user of this host can read and delete Prometheus's samples" in stack.run("validate").stderr
    stack.write(monitoring=monitoring_with(stack, login=True))
    killed_at(stack, "services", "up")
    stack.run("rollback", "--yes")
    assert [status(stack, kind, "metrics") for kind in KINDS] == [200, 200]
    stack.well()
    killed_at(stack, "services", "up")
    stack.run("up")
    stack.run("plan")
    assert [status(stack, kind, "metrics") for kind in KINDS] == [401, 401]
    all_log_in(stack)
