"""Up: render, validators, files and engine in order, with an engine that only notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from stacks import host, spec, topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines import planning
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply import up as stack
from techsapo_ops.operations.apply.certificates import ensure_certificates
from techsapo_ops.operations.apply.report import notes, service_url
from techsapo_ops.operations.apply.stop import down, restart
from techsapo_ops.operations.watch.usage import Monitor, request_count
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import (
    Action,
    Engine,
    Mismatch,
    Observed,
    ObservedService,
    Plan,
    State,
    Step,
    Usage,
)
from techsapo_ops.stack.topology import Topology


class NoProgram:
    """A host without any validator; up says so."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        raise OpsError(f"{command} must not run here")


@dataclass
class NotingEngine:
    """Keeps services in memory; `broken` ones do not become ready."""

    observed: Observed = field(default_factory=lambda: Observed(False))
    broken: frozenset[str] = frozenset()
    told: list[str] = field(default_factory=list)
    name: str = "noting"
    at_once: int = 1

    def observe(self) -> Observed:
        return self.observed

    def plan(self, desired: Desired, observed: Observed, only: tuple[str, ...] = ()) -> Plan:
        return planning.plan(desired, observed, only)

    def prepare(self, desired: Desired) -> None:
        self.told.append("prepare")
        self.observed = replace(self.observed, running=True)

    def gather(self, steps: Sequence[Step], desired: Desired) -> None:
        self.told.append(f"gather {', '.join(step.service for step in steps)}")

    def perform(self, step: Step, desired: Desired, progress: Callable[[str], None]) -> None:
        self.told.append(f"{step.action} {step.service}")
        if step.service in self.broken:
            raise OpsError(f"{step.service} is broken")
        program = next(p for p in desired.programs if p.service == step.service)
        seen = ObservedService(
            step.service,
            step.service,
            State.RUNNING,
            1,
            fingerprint=program.fingerprint,
            config=program.config_digest(desired.files),
        )
        self.observed = Observed(True, {**self.observed.services, step.service: seen})

    def discard(self, images: Collection[str]) -> None:
        self.told.append(f"discard {', '.join(sorted(images))}")

    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        self.told.append("stop")
        return tuple(self.observed.services)

    def restart(self, service: str) -> None:
        self.told.append(f"restart {service}")

    def images(self) -> dict[str, str]:
        return {}


class Quiet:
    """A listener that keeps what ended."""

    def __init__(self) -> None:
        self.outcomes: list[stack.Outcome] = []

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def done(self, outcome: stack.Outcome) -> None:
        self.outcomes.append(outcome)


SECTIONS: dict[str, Any] = {
    "monitoring": {
        "prometheus": {"enabled": False},
        "alertmanager": {"enabled": False},
        "grafana": {"enabled": False},
        "exporters": {name: {"enabled": False, "port": 1} for name in ("node", "redis", "mysqld", "nginx")},
    }
}


def bare(folder: Path, **sections: Any) -> tuple[Any, Topology]:
    """A spec and its topology on a host where no validator can be run."""
    model = spec(**{**SECTIONS, **sections})
    names = ("redis-server", "nginx", "mariadbd")
    facts = replace(host(), binaries={n: f"/usr/sbin/{n}" for n in names})
    where = topology(model, folder, facts=facts)
    return model, replace(where, host=replace(facts, binaries={}))


def run(
    folder: Path, engine: NotingEngine, sections: dict[str, Any] | None = None, **options: Any
) -> stack.UpReport | None:
    model, where = bare(folder, **(sections or {}))
    return stack.up(
        model, where, Templates(None), cast(Engine, engine), NoProgram(), Quiet(), proof=proven, **options
    )


def proven(*_: object) -> tuple[Mismatch, ...]:
    """In place of the read-back: there are no servers to ask."""
    return ()


def test_up_writes_the_files_before_the_engine_prepares_and_starts(tmp_path: Path) -> None:
    engine = NotingEngine()
    report = run(tmp_path, engine)
    assert report is not None
    assert engine.told == ["prepare", "create redis", "create app"]
    assert (tmp_path / ".techsapo" / "generated" / "supervisor" / "supervisord.conf").exists()
    assert [(r.service, r.state) for r in report.rows] == [("redis", "running"), ("app", "running")]
    assert report.changed
    assert not report.failures


def test_a_second_up_has_nothing_to_do(tmp_path: Path) -> None:
    engine = NotingEngine()
    run(tmp_path, engine)
    report = run(tmp_path, engine)
    assert report is not None
    assert not report.changed
    assert {o.step.action for o in report.outcomes} == {Action.NOTHING}


def test_a_refused_plan_touches_nothing(tmp_path: Path) -> None:
    engine = NotingEngine()
    assert run(tmp_path, engine, approve=lambda _: False) is None
    assert engine.told == []
    assert not (tmp_path / ".techsapo" / "generated").exists()


def test_what_needs_a_failed_service_is_not_started_and_the_rest_is(tmp_path: Path) -> None:
    several = {"app": {"instances": [{"port": 4000}, {"port": 4001}]}}
    engine = NotingEngine(broken=frozenset({"app-1"}))
    report = run(tmp_path, engine, several)
    assert report is not None
    assert engine.told == ["prepare", "create redis", "create app-1", "create app-2"]
    failed = {o.step.service: str(o.error) for o in report.failures}
    assert failed == {"app-1": "app-1 is broken", "nginx": "nginx was not started: it needs app-1"}
    assert {r.service: r.state for r in report.rows}["nginx"] == "failed"


def test_what_runs_is_not_called_failed_when_something_that_it_needs_fails(tmp_path: Path) -> None:
    several = {"app": {"instances": [{"port": 4000}, {"port": 4001}]}}
    engine = NotingEngine()
    run(tmp_path, engine, several)
    services = engine.observed.services
    stopped = replace(services["app-1"], state=State.STOPPED)
    engine.observed, engine.broken = Observed(True, {**services, "app-1": stopped}), frozenset({"app-1"})
    report = run(tmp_path, engine, several)
    assert report is not None
    assert [o.step.service for o in report.failures] == ["app-1"]
    assert {r.service: r.state for r in report.rows}["nginx"] == "running"


def test_a_file_edited_by_hand_stops_up_before_anything_is_touched_unless_forced(tmp_path: Path) -> None:
    engine = NotingEngine()
    run(tmp_path, engine)
    engine.told.clear()
    edited = tmp_path / ".techsapo" / "generated" / "redis" / "redis.conf"
    edited.write_text("# mine\n")
    with pytest.raises(OpsError, match="edited by hand"):
        run(tmp_path, engine)
    assert engine.told == []
    assert edited.read_text() == "# mine\n"
    report = run(tmp_path, engine, force=True)
    assert report is not None
    assert "maxmemory" in edited.read_text()


def test_missing_validators_are_named(tmp_path: Path) -> None:
    report = run(tmp_path, NotingEngine())
    assert report is not None
    assert "docker" in " ".join(tool.tool for tool in report.missing_tools)


def test_a_stack_without_databases_says_what_stands_in_for_them(tmp_path: Path) -> None:
    model, where = bare(tmp_path, redis={"enabled": False})
    said = "\n".join(notes(model, where))
    assert "audit log: SQLite; a `mysql:` section" in said
    assert "cache: in each app's own memory" in said
    assert "answers are simulated (3 providers)" in said


def test_root_without_service_users_is_told(tmp_path: Path) -> None:
    model = spec(**SECTIONS)
    where = topology(model, tmp_path, facts=host(root=True, users=frozenset({"redis"})))
    assert any("running as root: app; no user techsapo" in note for note in notes(model, where))
    assert not any("root" in note for note in notes(model, topology(model, tmp_path, facts=host())))


def test_the_url_of_nginx_is_https_where_it_has_a_certificate(tmp_path: Path) -> None:
    model = spec(certificates={"site": {"names": ["example.com"]}}, nginx={"tls_listen": 9443})
    where = topology(model, tmp_path)
    assert service_url(model, where, where.of_kind("nginx")[0]) == "https://localhost:9443"
    assert service_url(model, where, where.of_kind("redis")[0]) == "redis://localhost:6379"
    secure = spec(redis={"tls": True})
    assert service_url(secure, where, where.of_kind("redis")[0]) == "rediss://localhost:6379"


def test_certificates_are_made_once_and_taken_over_from_files(tmp_path: Path) -> None:
    model = spec(certificates={"site": {"names": ["example.com"]}})
    where = topology(model, tmp_path)
    assert "certificate site" in ensure_certificates(model, where)
    assert ensure_certificates(model, where) == ""
    made = where.layout.certs / "site"
    (tmp_path / "my.pem").write_bytes((made / "fullchain.pem").read_bytes())
    (tmp_path / "my.key").write_bytes((made / "privkey.pem").read_bytes())
    files = {"source": "files", "certificate_file": "my.pem", "private_key_file": "my.key"}
    given = spec(certificates={"given": files})
    where = topology(given, tmp_path)
    assert "not taken over yet" in ensure_certificates(given, where)
    assert ensure_certificates(given, where) == ""
    assert (where.layout.certs / "given" / "privkey.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "my.pem").unlink()
    with pytest.raises(OpsError, match="cannot read"):
        ensure_certificates(given, where)


def test_an_acme_certificate_that_is_there_is_left_alone(tmp_path: Path) -> None:
    model = spec(
        certificates={"site": {"source": "acme", "names": ["example.com"], "contact": "a@b.example"}}
    )
    where = topology(model, tmp_path)
    assert "certificate site" in ensure_certificates(model, where)
    chain = where.layout.certs / "site" / "fullchain.pem"
    chain.write_text("from a public CA")
    assert ensure_certificates(model, where) == ""
    assert chain.read_text() == "from a public CA"


def test_a_new_certificate_reloads_nginx_that_is_otherwise_up_to_date(tmp_path: Path) -> None:
    sections = {"certificates": {"site": {"names": ["example.com"]}}}
    engine = NotingEngine()
    run(tmp_path, engine, sections)
    engine.told.clear()
    (tmp_path / ".techsapo" / "certs" / "site" / "fullchain.pem").unlink()
    run(tmp_path, engine, sections)
    assert "reload nginx" in engine.told


def test_down_without_a_state_directory_still_looks_for_leftovers_and_makes_none(tmp_path: Path) -> None:
    _, where = bare(tmp_path)
    engine = NotingEngine()
    assert down(engine, where.layout) == ()
    assert engine.told == ["stop"]
    assert not where.layout.state.exists()


def test_restart_takes_names_and_kinds_and_needs_a_running_stack(tmp_path: Path) -> None:
    _, where = bare(tmp_path)
    engine = NotingEngine()
    with pytest.raises(OpsError, match="not running"):
        restart(cast(Engine, engine), where.layout, [])
    seen = {
        n: ObservedService(n, k, State.RUNNING)
        for n, k in (("app-1", "app"), ("app-2", "app"), ("redis", "redis"))
    }
    engine.observed = Observed(True, seen)
    assert restart(cast(Engine, engine), where.layout, ["app"]) == ("app-1", "app-2")
    assert restart(cast(Engine, engine), where.layout, []) == ("app-1", "app-2", "redis")
    with pytest.raises(OpsError, match="no service web"):
        restart(cast(Engine, engine), where.layout, ["web"])


def test_the_requests_of_an_app_are_summed_over_its_routes() -> None:
    text = (
        "# TYPE techsapo_http_requests_total counter\n"
        'techsapo_http_requests_total{method="GET",route="/ping",status="200"} 41.0\n'
        'techsapo_http_requests_total{method="POST",route="/a b",status="200"} 1e+02\n'
        "techsapo_http_requests_total_created 5\nother_total 9\n"
    )
    assert request_count(text) == 141.0
    assert request_count("") == 0.0


def test_a_reading_knows_nothing_of_a_service_that_does_not_answer() -> None:
    class Standing:
        def observe(self) -> Observed:
            started = datetime(2026, 1, 1, tzinfo=UTC)
            app = ObservedService("app", "app", State.RUNNING, 5, started, host="127.0.0.1", port=1)
            return Observed(
                True, {"app": app, "redis": ObservedService("redis", "redis", State.CRASHED, restarts=6)}
            )

        def usage(self) -> dict[str, Usage]:
            return {"app": Usage(12.5, 1024)}

    app, redis = Monitor(Standing()).read()
    assert (app.cpu_percent, app.memory_bytes, app.requests_per_second) == (12.5, 1024, None)
    assert (redis.state, redis.pid, redis.cpu_percent, redis.restarts) == ("crashed", None, None, 6)
