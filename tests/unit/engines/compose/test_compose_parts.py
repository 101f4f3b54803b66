"""Plans, notes and access rights of the compose engine, without a daemon."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from rows import each_row
from stacks import EVERYTHING, spec, templates, topology, with_alerts

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.files import let_read, own_mode, reader_list
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.apply.plan import desired_state
from techsapo_ops.engines.compose.engine import let_read_files
from techsapo_ops.engines.containers import gate
from techsapo_ops.engines.containers.gate import questions
from techsapo_ops.engines.containers.stack import observed
from techsapo_ops.engines.planning import plan
from techsapo_ops.engines.state import Record, StateFile, recorded_engine
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.own_tls import certificate
from techsapo_ops.stack.step import Action

FACTS = ContainerFacts(
    "c1", "p-redis-1", "p", "redis", Path("/srv"), "running", "sha256:1", "redis:8", "h", pid=7
)
RECORD = Record(
    "redis", "redis", "127.0.0.1", 6379, "999", (), 30, "f", "c",
    container="c1", image="sha256:1", definition="h",
)  # fmt: skip


def wanted(directory: Path = Path("/opt/stack"), **sections: object) -> Desired:
    made = spec(**{**EVERYTHING, "monitoring": with_alerts("MemoryHigh"), **sections})
    return desired_state(topology(made, directory, "compose"), templates())


WANTED = wanted()


def standing_as(desired: Desired) -> Observed:
    """Everything runs as `desired` says."""
    services = {
        unit.service: ObservedService(
            unit.service, "kind", State.RUNNING, fingerprint=unit.fingerprint,
            config=unit.config_digest(desired.files),
            files={f.path: f.digest for f in desired.files if f.path.startswith(unit.config)},
        )
        for unit in desired.containers.values()
    }  # fmt: skip
    return Observed(True, services)


HIGHER = {"alerts": {**with_alerts()["alerts"], "MemoryHigh": {"threshold": 77}}}
OTHER_HOOK = {"critical": [{"kind": "slack", "url": "https://hooks.example.com/another"}]}


@each_row(
    "sections, wants",
    [
        ({}, {}),
        ({"monitoring": HIGHER}, {"prometheus": Action.RELOAD}),
        # A changed secret, where configuration would be a reload.
        ({"notifications": notified(OTHER_HOOK)}, {"alertmanager": Action.RESTART}),
        ({"images": {"alertmanager": "lab/am:2"}}, {"alertmanager": Action.RECREATE}),
    ],
    ids=["nothing", "threshold", "secret", "image"],
)
def test_a_change_is_of_what_reads_it_alone(sections: dict[str, Any], wants: dict[str, Action]) -> None:
    seen = standing_as(WANTED)
    assert len(WANTED.units) == 14
    changes = plan(wanted(**sections), seen).changes
    assert {step.service: step.action for step in changes} == wants
    if "images" in sections:
        assert changes[0].reason == "the entry in docker/docker-compose.monitoring.yml changed"


def test_a_removed_container_is_gone_and_one_that_was_never_made_is_not() -> None:
    assert observed(RECORD, None, {}).gone
    assert not observed(replace(RECORD, container=""), None, {}).gone


def test_a_dashboard_restarts_nothing() -> None:
    desired = WANTED
    seen = standing_as(desired)
    files = tuple(
        replace(f, content=f.content + "\n") if f.path.startswith("docker/config/grafana/dashboards/") else f
        for f in desired.files
    )
    assert not plan(replace(desired, files=files), seen).changes


def test_an_owned_container_keeps_its_notes_and_a_foreign_one_is_drift() -> None:
    present = {"redis:8": "sha256:1"}
    assert observed(RECORD, FACTS, present).drift == ""
    assert observed(RECORD, replace(FACTS, id="c2"), present).drift == "", "made anew from the same file"
    assert "outside techsapo" in observed(RECORD, replace(FACTS, id="c2", definition="x"), present).drift
    moved = observed(RECORD, FACTS, {"redis:8": "sha256:2"})
    assert "has changed" in moved.drift
    assert moved.replaced == moved.drift
    assert observed(RECORD, FACTS, present).replaced == ""


def test_down_forgets_the_services_but_not_the_engine(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "compose", "p")
    file.clear()
    assert recorded_engine(tmp_path) is None, "nothing was brought up"
    file.put(RECORD)
    file.clear()
    found = recorded_engine(tmp_path)
    assert found is not None
    assert (found.engine, found.project, file.load()) == ("compose", "p", {})
    assert StateFile(tmp_path, "native").load() == {}, "notes of the other engine are none of its own"


def test_a_reader_is_let_in_without_being_the_owner(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    let_read(secret, [10001, 999])
    acl = os.getxattr(secret, "system.posix_acl_access")
    assert acl == reader_list(0o600, [999, 10001])
    assert secret.stat().st_mode & 0o007 == 0
    assert secret.stat().st_uid == os.geteuid()
    let_read(secret, [10001])
    assert os.getxattr(secret, "system.posix_acl_access") == reader_list(0o600, [10001]), "exactly"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o640, "the list's mask"
    assert own_mode(secret) == 0o600, "so nobody takes it for a change"


def test_a_folder_that_a_reader_is_let_into_can_be_listed_and_entered(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    let_read(tmp_path, [10001])
    acl = os.getxattr(tmp_path, "system.posix_acl_access")
    assert acl == reader_list(0o700, [10001], allowed=0o5)
    assert tmp_path.stat().st_mode & 0o007 == 0


def wait(states: list[ContainerFacts | None], results: list[ProbeResult], seconds: float) -> None:
    last = states[-1]
    gate.wait_ready(
        "redis",
        look=lambda: states.pop(0) if states else last,
        ask=lambda *_: results.pop(0) if len(results) > 1 else results[0],
        lines=lambda: ("line 1", "line 2"),
        seconds=seconds,
    )


def test_the_gate_opens_once_it_answers_and_names_probe_and_log_of_a_container_that_ended() -> None:
    wait([FACTS], [ProbeResult(False, "refused", 0.0), ProbeResult(True, "PONG", 0.0)], seconds=5)
    ended = replace(FACTS, state="exited", pid=None, exit_code=1)
    with pytest.raises(GateError) as failed:
        wait([ended], [ProbeResult(False, "x", 0.0)], seconds=5)
    assert "the container is exited, exit code 1" in failed.value.message
    assert "| line 2" in failed.value.message
    assert failed.value.lines == ("line 1", "line 2")


def test_the_gate_says_why_docker_could_not_start_a_container() -> None:
    taken = "failed to bind host port for 0.0.0.0:8081: address already in use"
    created = replace(FACTS, state="created", pid=None, exit_code=128, error=taken)
    with pytest.raises(GateError, match=r"is created, exit code 128 \(failed to bind host port .* in use\)"):
        wait([created], [ProbeResult(False, "x", 0.0)], seconds=0.1)


def test_the_gate_gives_up_on_a_container_that_keeps_ending() -> None:
    loop = replace(FACTS, state="restarting", restarts=4, pid=None, exit_code=1)
    with pytest.raises(GateError, match="after 4 restarts"):
        wait([FACTS, loop], [ProbeResult(False, "x", 0.0)], seconds=60)


def test_redis_is_asked_with_the_account_of_the_spec(tmp_path: Path) -> None:
    made = spec(redis={"user": "sapo", "password": "s3cret"})
    asked = questions(topology(made, tmp_path, "compose"))["redis"]
    assert asked.argv == ("redis-cli", "--no-auth-warning", "--user", "sapo", "-e", "ping")
    assert asked.env == {"REDISCLI_AUTH": "s3cret"}
    made = spec(redis={"password": "s3cret", "tls": True})
    asked = questions(topology(made, tmp_path, "compose"))["redis"]
    assert asked.argv[2:] == ("--tls", "--cacert", "/etc/techsapo/redis-ca/ca.pem", "-e", "ping")


def test_the_user_of_redis_alone_is_let_read_the_key_of_its_certificate(tmp_path: Path) -> None:
    desired = replace(wanted(tmp_path, redis={"tls": True}), files=())
    key = certificate(desired.topology.layout, "redis") / "privkey.pem"
    key.parent.mkdir(parents=True)
    key.touch(0o600)
    let_read_files(desired)
    assert os.getxattr(key, "system.posix_acl_access") == reader_list(0o600, [999])
    assert own_mode(key) == 0o600
