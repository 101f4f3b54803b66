"""An apply as a transaction: going back, recording, rolling back and drift, with an engine in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from stacks import host, spec, topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines import planning
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply import up as stack
from techsapo_ops.operations.apply.difference import difference
from techsapo_ops.operations.apply.drift import drift
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.apply.rollback import RollbackReport, rollback
from techsapo_ops.operations.apply.transaction import Outcome, Tools
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import (
    Action,
    Engine,
    LogLine,
    Mismatch,
    Observed,
    ObservedService,
    Plan,
    State,
    Step,
)

OFF = {"enabled": False}
SECTIONS: dict[str, Any] = {
    "monitoring": {
        "prometheus": OFF,
        "alertmanager": OFF,
        "grafana": OFF,
        "exporters": {name: {**OFF, "port": 1} for name in ("node", "redis", "mysqld", "nginx")},
    }
}


class NoProgram:
    """A host without any validator."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        raise OpsError(f"{command} must not run here")


@dataclass
class MemoryEngine:
    """Keeps services in memory. Redis refuses to start with a `maxmemory` in `refused`.

    `running` has the configuration digest that each service really runs; `deaf` ones ignore a change.
    """

    observed: Observed = field(default_factory=lambda: Observed(False))
    refused: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()
    running: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    name: str = "native"
    at_once: int = 1
    image: int = 1

    def observe(self) -> Observed:
        return self.observed

    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        return planning.plan(desired, observed, only)

    def prepare(self, desired: Desired) -> None:
        self.observed = replace(self.observed, running=True)

    def gather(self, steps: Sequence[Step], desired: Desired) -> None:
        self.told.append(f"gather {', '.join(step.service for step in steps)}")

    def perform(self, step: Step, desired: Desired, progress: Callable[[str], None]) -> None:
        if step.action is Action.NOTHING:
            return
        self.told.append(f"{step.action} {step.service}")
        services = dict(self.observed.services)
        if step.action is Action.REMOVE:
            del services[step.service]
            self.observed = Observed(True, services)
            return
        program = next(p for p in desired.programs if p.service == step.service)
        digest = program.config_digest(desired.files)
        seen = ObservedService(
            step.service, step.service.partition("-")[0], State.RUNNING, 1, fingerprint="", config=digest
        )
        self.observed = Observed(True, {**services, step.service: seen})
        text = next((f.content for f in desired.files if f.path == "redis/redis.conf"), "")
        if step.service == "redis" and any(f"maxmemory {size}" in text for size in self.refused):
            raise OpsError("redis is broken\nits log")
        if step.service not in self.deaf:
            self.running[step.service] = digest
        good = replace(seen, fingerprint=program.fingerprint)
        self.observed = Observed(True, {**services, step.service: good})

    def proof(
        self, desired: Desired, _: Engine, services: Sequence[str], wait: float
    ) -> tuple[Mismatch, ...]:
        wanted = {p.service: p.config_digest(desired.files) for p in desired.programs}
        return tuple(
            Mismatch(name, "it runs another configuration")
            for name in services
            if self.running.get(name) != wanted[name]
        )

    def logs(self, services: Sequence[str], **_: Any) -> list[LogLine]:
        return [LogLine(name, "a line of its log") for name in services]

    def strangers(self) -> tuple[str, ...]:
        return self.unknown

    def images(self) -> dict[str, str]:
        return {"app": f"sha256:{self.image}"}

    def discard(self, images: Collection[str]) -> None:
        self.told.append(f"discard {', '.join(sorted(images))}")

    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        self.observed = Observed(False)
        return ()


@dataclass
class Said:
    """A listener that keeps what it was told."""

    words: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.words.append(text)

    def warn(self, text: str) -> None:
        self.words.append(text)

    def done(self, outcome: Outcome) -> None:
        pass


@dataclass
class Project:
    """A folder, and the engine that runs what is in it."""

    folder: Path
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    said: Said = field(default_factory=Said)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / ".techsapo")

    @property
    def tools(self) -> Tools:
        return Tools(
            lambda _: cast(Engine, self.engine), self.said, "alice", self.engine.proof, lambda _: None
        )

    def up(self, memory: str = "256M", **options: Any) -> stack.UpReport:
        sections = options.pop("sections", {})
        model = spec(**{**SECTIONS, "redis": {"maxmemory": memory}, **sections})
        names = ("redis-server", "nginx")
        facts = replace(host(), binaries={n: f"/usr/sbin/{n}" for n in names})
        where = topology(model, self.folder, facts=facts)
        where = replace(where, host=replace(facts, binaries={}))
        report = stack.up(
            model,
            where,
            Templates(None),
            cast(Engine, self.engine),
            NoProgram(),
            self.said,
            user="alice",
            proof=self.engine.proof,
            **options,
        )
        assert report is not None
        return report

    def rollback(self, reference: str | None = None, *, yes: bool = True) -> RollbackReport | None:
        where = topology(spec(**SECTIONS), self.folder)
        return rollback(where.layout, reference, self.tools, approve=lambda *_: yes)

    def memory(self) -> str:
        text = (self.folder / ".techsapo" / "generated" / "redis" / "redis.conf").read_text()
        return next(line for line in text.splitlines() if line.startswith("maxmemory "))

    def findings(self) -> list[tuple[str, str, str]]:
        where = topology(spec(**SECTIONS), self.folder)
        return [(f.kind, f.name, f.what) for f in drift(where.layout, self.tools).findings]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_apply_is_recorded_with_who_what_and_how(project: Project) -> None:
    report = project.up()
    (entry,) = project.ledger.entries()
    assert report.entry == entry
    assert (entry.user, entry.command, entry.result) == ("alice", "up", "ok")
    assert [(s.action, s.service) for s in entry.steps] == [("create", "redis"), ("create", "app")]
    assert ("redis/redis.conf", "added") in entry.files


def test_an_up_with_nothing_to_do_is_not_recorded(project: Project) -> None:
    project.up()
    report = project.up()
    assert report.entry is None
    assert len(project.ledger.entries()) == 1


def test_images_that_no_kept_apply_names_are_discarded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.operations.apply.ledger.KEPT", 2)
    for number, memory in enumerate(("100M", "200M", "300M", "400M"), 1):
        project.engine.image = (number + 1) // 2
        project.up(memory)
    assert [words for words in project.engine.told if words.startswith("discard")] == ["discard sha256:1"]


def test_on_an_engine_that_can_services_are_gathered_and_started_together(project: Project) -> None:
    project.engine.at_once = 4
    report = project.up()
    assert project.engine.told[0] == "gather redis, app"
    assert [o.step.service for o in report.outcomes] == ["redis", "app"]
    project.up("300M")
    assert project.engine.told[3:] == ["restart redis", "restart app"], "what runs is restarted one at a time"


def test_a_failure_brings_files_and_services_back_and_says_so(project: Project) -> None:
    before = project.up().plan
    project.engine.refused = frozenset({"1073741824", "1gb", "1G", "1024mb", "1024m", "1g"})
    before_text = project.memory()
    report = project.up("1G")
    assert report.back is not None
    assert (report.back.to, report.back.failures) == (1, ())
    assert [o.step.service for o in report.failures] == ["redis"]
    assert project.memory() == before_text
    assert project.engine.observed.services["redis"].config == next(
        p for p in before.desired.programs if p.service == "redis"
    ).config_digest(before.desired.files)
    last = project.ledger.entries()[-1]
    assert (last.result, last.back_to, last.reason) == ("rolled-back", 1, "redis is broken")
    assert project.findings() == []


def test_after_the_first_failure_nothing_else_is_changed(project: Project) -> None:
    project.up()
    project.engine.refused = frozenset({"1G", "1g", "1gb", "1073741824"})
    project.engine.told.clear()
    project.up("1G")
    assert project.engine.told == ["restart redis", "recreate redis"], "the app was spared both ways"


def test_a_service_that_runs_something_else_is_a_failure_with_its_log(project: Project) -> None:
    project.up()
    project.engine.deaf = frozenset({"redis"})
    report = project.up("1G")
    (failed,) = report.failures
    assert failed.error is not None
    assert failed.error.message.startswith("redis: it runs another configuration")
    assert "| a line of its log" in failed.error.message
    assert report.back is not None
    assert report.back.failures == (), "what it runs is what it ran before"


def test_without_an_earlier_apply_what_is_good_stays_up(project: Project) -> None:
    project.engine.refused = frozenset({"268435456", "256M", "256m", "256mb"})
    report = project.up()
    assert report.back is None
    assert project.ledger.entries()[-1].result == "failed"
    assert project.ledger.current() is None
    with pytest.raises(OpsError, match="no good state"):
        project.rollback()
    project.engine.refused = frozenset()
    assert project.up().failures == ()


def test_where_one_instance_does_not_come_up_its_siblings_go_on_as_they_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = {"app": {"instances": [{"port": 4000}, {"port": 4001}, {"port": 4002}]}}
    project.up(sections=app)
    seen = project.engine.observed.services
    project.engine.observed = Observed(
        True, {n: replace(s, build="0.1.0+old" if s.kind == "app" else None) for n, s in seen.items()}
    )
    project.engine.told.clear()

    def perform(step: Step, *_: object) -> None:
        project.engine.told.append(f"{step.action} {step.service}")
        if step.service == "app-1":
            raise OpsError("the new code does not start")

    monkeypatch.setattr(project.engine, "perform", perform)
    report = project.up(sections=app)
    assert "restart app-1" in project.engine.told
    assert not [told for told in project.engine.told if told in {"restart app-2", "restart app-3"}]
    assert "app-2 goes on as it was, since app-1 did not come up" in project.said.words
    assert [o.step.service for o in report.failures] == ["app-1"]
    assert report.back is None, "going back to the same configuration would run the same code"


def test_a_way_back_that_fails_too_is_told(project: Project) -> None:
    project.up()
    project.engine.refused = frozenset({""})
    report = project.up("1G")
    assert report.back is not None
    assert [e.message.splitlines()[0] for e in report.back.failures][:1] == ["redis is broken"]
    assert project.ledger.entries()[-1].result == "failed"
    project.engine.refused = frozenset()
    done = project.rollback()
    assert done is not None
    assert done.target.id == 1, "after a failure half way, back means the state that should stand"


def test_rollback_restores_files_and_services_and_is_recorded(project: Project) -> None:
    project.up()
    first = project.memory()
    project.up("1G")
    assert project.memory() != first
    done = project.rollback()
    assert done is not None
    assert (done.target.id, project.memory()) == (1, first)
    last = project.ledger.entries()[-1]
    assert (last.command, last.restores, last.result) == ("rollback", 1, "ok")
    with pytest.raises(OpsError, match="no good state before"):
        project.rollback()
    back = project.rollback("@2")
    assert back is not None
    assert project.memory() != first


def test_a_refused_rollback_touches_nothing(project: Project) -> None:
    project.up()
    project.up("1G")
    project.engine.told.clear()
    assert project.rollback(yes=False) is None
    assert project.engine.told == []
    assert len(project.ledger.entries()) == 2


def test_there_is_no_going_back_to_an_apply_that_failed(project: Project) -> None:
    project.up()
    project.engine.refused = frozenset({"1G", "1g", "1gb", "1073741824"})
    project.up("1G")
    with pytest.raises(OpsError, match="@2 failed") as caught:
        project.rollback("@2")
    assert "@1" in caught.value.hint


def test_a_project_that_moved_is_not_rolled_back_into_its_old_place(project: Project, tmp_path: Path) -> None:
    project.up()
    project.up("1G")
    moved = tmp_path / "moved"
    moved.mkdir()
    (project.folder / ".techsapo").rename(moved / ".techsapo")
    with pytest.raises(OpsError, match="when the project stood in"):
        replace(project, folder=moved).rollback()


def test_a_partial_up_is_a_state_with_the_services_that_stand(project: Project) -> None:
    project.up(only=("redis",))
    entry = project.ledger.entries()[-1]
    services = [s.name for s in project.ledger.load_state(entry).desired.topology.services]
    assert services == ["redis"]
    project.up()
    project.rollback()
    assert list(project.engine.observed.services) == ["redis"]


def test_an_interrupted_apply_is_told_and_completed(project: Project) -> None:
    project.up()
    draft = replace(project.ledger.entries()[-1], id=2, files=(), steps=())
    Journal(project.ledger).begin(draft)
    assert ("apply", "@2", "is under way, or was interrupted") in project.findings()
    project.up()
    assert [e.result for e in project.ledger.entries()] == ["ok", "failed", "ok"]
    assert any("completing it" in words for words in project.said.words)
    assert project.findings() == []


def test_a_configuration_that_only_the_service_knows_of_is_planned_for(project: Project) -> None:
    project.up()
    project.engine.running["redis"] = "something else"
    assert project.findings() == [("service", "redis", "it runs another configuration")]
    report = project.up()
    assert [
        (o.step.service, o.step.reason) for o in report.outcomes if o.step.action is not Action.NOTHING
    ] == [("redis", "it runs another configuration")]
    assert project.findings() == []


def test_drift_names_files_services_and_strangers(project: Project) -> None:
    project.up()
    config = project.folder / ".techsapo" / "generated"
    (config / "redis" / "redis.conf").write_text("# mine\n")
    (config / "app" / "techsapo.yaml").unlink()
    (config / "supervisor" / "supervisord.conf").chmod(0o644)
    services = dict(project.engine.observed.services)
    services["redis"] = replace(services["redis"], state=State.CRASHED)
    project.engine.observed = Observed(True, {"redis": services["redis"]})
    project.engine.unknown = ("process 7 of this stack runs outside its supervisor: x",)
    assert project.findings() == [
        ("file", "app/techsapo.yaml", "is missing"),
        ("file", "redis/redis.conf", "was edited by hand"),
        ("file", "supervisor/supervisord.conf", "has mode 0644 instead of 0600"),
        ("service", "redis", "it kept ending by itself"),
        ("service", "app", "is gone"),
        ("stranger", "", "process 7 of this stack runs outside its supervisor: x"),
    ]


def test_a_stack_that_is_down_has_drifted(project: Project) -> None:
    project.up()
    project.engine.stop()
    assert ("service", "stack", "does not run") in project.findings()


def test_a_diff_shows_files_and_services_but_no_secret(project: Project) -> None:
    project.up()
    project.up(
        sections={
            "redis": {"password": "hunter2"},
            "app": {"instances": [{"port": 4000}, {"port": 4001}]},
        }
    )
    found = difference(topology(spec(**SECTIONS), project.folder).layout, None)
    text = json.dumps([f.diff for f in found.files])
    assert "hunter2" not in text
    assert {f.path: f.kind for f in found.files}["secrets/redis-password"] == "added"
    assert {s.service: s.what for s in found.services} == {
        "app": "removed",
        "app-1": "added",
        "app-2": "added",
        "nginx": "added",
    }
