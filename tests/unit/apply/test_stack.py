"""Up, stop and restart in order, what follows in a service, and the record of administration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject, refuses
from stacks import spec, topology

from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.apply.outcome import service_url
from techsapo_ops.apply.plan import plan_of
from techsapo_ops.apply.stop import down, restart
from techsapo_ops.apply.up import up
from techsapo_ops.certs.own import ensure_certificates
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.stack import Following
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Topology

SEVERAL: dict[str, Any] = {"app": {"instances": [{"port": 4000}, {"port": 4001}]}}


def test_up_writes_the_files_before_the_engine_prepares_and_starts(project: MemoryProject) -> None:
    report = project.up()
    assert project.world.told == ["prepare", "create redis", "create app"]
    assert (project.config / "supervisor" / "supervisord.conf").exists()
    assert [(r.service, r.state) for r in report.rows] == [("redis", "running"), ("app", "running")]
    assert report.changed
    assert not report.failures


def test_a_refused_plan_touches_nothing(project: MemoryProject) -> None:
    assert up(project.stack(), project.said, approve=lambda _: False) is None
    assert project.world.told == []
    assert not project.config.exists()


def test_what_needs_a_failed_service_is_not_started_and_the_rest_is(project: MemoryProject) -> None:
    project.world.refused = refuses("app-1", "")
    report = project.up(sections=SEVERAL)
    assert project.world.told == ["prepare", "create redis", "create app-1", "create app-2"]
    failed = {o.step.service: o.error.message for o in report.failures if o.error}
    assert failed == {
        "app-1": "app-1 did not become ready: app-1 is broken",
        "nginx": "nginx was not started: it needs app-1, which failed",
    }
    assert {r.service: r.state for r in report.rows}["nginx"] == "failed"


def test_a_file_edited_by_hand_stops_up_before_anything_is_touched_unless_forced(
    project: MemoryProject,
) -> None:
    project.up()
    project.world.told.clear()
    edited = project.config / "redis" / "redis.conf"
    edited.write_text("# mine\n")
    with pytest.raises(OpsError, match="edited by hand"):
        project.up()
    assert project.world.told == []
    assert edited.read_text() == "# mine\n"
    project.up(force=True)
    assert "maxmemory" in edited.read_text()


def test_the_url_of_nginx_is_https_where_it_has_a_certificate(tmp_path: Path) -> None:
    model = spec(certificates={"site": {"names": ["example.com"]}}, nginx={"tls_listen": 9443})
    where = topology(model, tmp_path)
    assert service_url(where, where.of_kind("nginx")[0]) == "https://localhost:9443"
    assert service_url(where, where.of_kind("redis")[0]) == "redis://localhost:6379"
    secure = topology(spec(redis={"tls": True}), tmp_path)
    assert service_url(secure, secure.of_kind("redis")[0]) == "rediss://localhost:6379"


def test_certificates_are_made_once_and_taken_over_from_files(tmp_path: Path) -> None:
    model = spec(certificates={"site": {"names": ["example.com"]}})
    where = topology(model, tmp_path)
    assert "certificate site" in ensure_certificates(where)
    assert ensure_certificates(where) == ""
    made = where.layout.certs / "site"
    (tmp_path / "my.pem").write_bytes((made / "fullchain.pem").read_bytes())
    (tmp_path / "my.key").write_bytes((made / "privkey.pem").read_bytes())
    files = {"source": "files", "certificate_file": "my.pem", "private_key_file": "my.key"}
    given = spec(certificates={"given": files})
    where = topology(given, tmp_path)
    assert "not been imported yet" in ensure_certificates(where)
    assert ensure_certificates(where) == ""
    assert (where.layout.certs / "given" / "privkey.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "my.pem").unlink()
    with pytest.raises(OpsError, match="cannot read"):
        ensure_certificates(where)


def test_an_acme_certificate_that_is_there_is_left_alone(tmp_path: Path) -> None:
    model = spec(
        certificates={"site": {"source": "acme", "names": ["example.com"], "contact": "a@b.example"}}
    )
    where = topology(model, tmp_path)
    assert "certificate site" in ensure_certificates(where)
    chain = where.layout.certs / "site" / "fullchain.pem"
    chain.write_text("from a public CA")
    assert ensure_certificates(where) == ""
    assert chain.read_text() == "from a public CA"


def test_a_new_certificate_reloads_nginx_that_is_otherwise_up_to_date_as_the_plan_says(
    project: MemoryProject,
) -> None:
    project.sections = {"certificates": {"site": {"names": ["example.com"]}}}
    project.up()
    project.world.told.clear()
    (project.folder / ".techsapo" / "certs" / "site" / "fullchain.pem").unlink()
    planned = list(plan_of(project.stack()).steps.changes)
    assert [(step.action, step.service, step.reason) for step in planned] == [
        (Action.RELOAD, "nginx", "certificate site: the link to the certificate was missing")
    ]
    report = project.up()
    assert project.world.told == ["prepare", "reload nginx"]
    assert [o.step for o in report.outcomes if o.step.action is not Action.NOTHING] == planned


def test_down_without_a_state_directory_still_looks_for_leftovers_and_makes_none(
    project: MemoryProject,
) -> None:
    assert down(project.engine) == ()
    assert project.world.told == ["stop"]
    assert not project.engine.layout.state.exists()


def test_restart_takes_names_and_kinds_and_needs_a_running_stack(project: MemoryProject) -> None:
    project.sections = SEVERAL
    engine = project.engine
    with pytest.raises(OpsError, match="not running"):
        restart(engine, [])
    project.up()
    waited: list[float] = []
    assert restart(engine, ["app"], pause=waited.append) == ("app-1", "app-2")
    assert restart(engine, [], pause=waited.append) == ("redis", "app-1", "app-2", "nginx")
    assert "restart nginx" in project.world.told
    with pytest.raises(OpsError, match="no service web") as wrong:
        restart(engine, ["web"])
    assert wrong.value.exit_code == 2


class Told(Following):
    """Keeps what it was told beside what the engine was, and refuses one service."""

    def __init__(self, world_told: list[str], refused: str = "") -> None:
        self.world_told = world_told
        self.refused = refused

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        self.world_told.append(f"ready {service}")
        if service == self.refused:
            raise OpsError(f"{service} can't be migrated")

    def settled(self, access: Access, topology: Topology) -> None:
        self.world_told.append("settled")


def test_it_follows_before_the_next_service_starts_and_once_all_runs(project: MemoryProject) -> None:
    told = project.world.told
    up(replace(project.stack(), following=Told(told)), project.said)
    assert told == ["prepare", "create redis", "ready redis", "create app", "ready app", "settled"]


def test_what_needs_a_service_that_could_not_be_followed_up_is_not_started(project: MemoryProject) -> None:
    told = project.world.told
    report = up(replace(project.stack(), following=Told(told, "redis")), project.said)
    failed = {o.step.service: o.error.message for o in report.failures if o.error}
    assert failed["redis"] == "redis can't be migrated"
    assert "create app" not in told
    assert "settled" not in told


def done(project: MemoryProject) -> tuple[Any, ...]:
    return actions(chain_of(project.stack().layout).read())


def test_an_apply_is_recorded_with_its_number_and_how_it_ended(project: MemoryProject) -> None:
    project.up()
    project.up()  # changes nothing, and is no action
    project.up(sections={"redis": {"maxmemory": "300M"}})
    project.rollback()
    assert [(a.action, a.outcome, a.what["apply"]) for a in done(project)] == [
        ("up", "done", 1), ("up", "done", 2), ("rollback", "done", 3),
    ]  # fmt: skip
    assert done(project)[2].what["restores"] == 1
    assert not chain_of(project.stack().layout).read().breaks


def test_an_apply_that_can_not_be_recorded_touches_nothing_and_a_stack_is_stopped_all_the_same(
    project: MemoryProject,
) -> None:
    project.up()
    path = chain_of(project.stack().layout).path
    path.unlink()
    path.mkdir()
    told = list(project.world.told)
    with pytest.raises(OpsError, match="up was not run, because it can't be recorded"):
        project.up(sections={"redis": {"maxmemory": "300M"}})
    assert project.world.told == told
    assert len(project.ledger.entries()) == 1
    warned: list[str] = []
    assert down(project.engine, warn=warned.append)
    assert "down can't be recorded" in warned[0]
