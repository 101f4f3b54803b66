"""Services that somebody has stopped: they stay so over `up`, and everything says who did it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.memory_engine import MemoryEngine
from fakes.memory_project import MemoryProject

from techsapo_ops.apply.drift import drift
from techsapo_ops.apply.stop import restart, start_services, stop_services
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.observed import NOTE, Observed, State, stopped_of
from techsapo_ops.stack.stack import Following
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.health.check import check


@pytest.fixture
def made(tmp_path: Path) -> MemoryProject:
    project = MemoryProject(tmp_path)
    project.up()
    return project


def states(made: MemoryProject) -> dict[str, str]:
    return {name: str(seen.state) for name, seen in made.stack().engine.observe().services.items()}


def test_what_is_stopped_stays_so_over_up_and_starts_again_by_start_alone(made: MemoryProject) -> None:
    stack = made.stack()
    halted = stop_services(stack, ["redis"])
    assert (halted.services, halted.needing) == (("redis",), ("app",))
    assert states(made) == {"redis": "stopped", "app": "running"}
    report = made.up()
    assert not report.changed
    assert made.up(sections={"app": {"port": 4100}}).changed, "the app alone"
    assert states(made) == {"redis": "stopped", "app": "running"}
    assert start_services(made.stack(), []).services == ("redis",)
    assert states(made)["redis"] == "running"
    assert stopped_of(stack.layout) == {}
    assert not (stack.layout.state / NOTE).exists()


def test_it_stays_stopped_over_down_and_up_and_start_then_leaves_it_to_up(made: MemoryProject) -> None:
    stop_services(made.stack(), ["redis"])
    made.stack().engine.stop()
    made.up()
    assert states(made) == {"app": "running"}
    done = start_services(made.stack(), ["redis"])
    assert (done.services, done.later) == ((), ("redis",))
    made.up()
    assert states(made)["redis"] == "running"


def test_each_stops_before_what_it_needs_and_starts_after_it(made: MemoryProject) -> None:
    told = made.world.told
    told.clear()
    halted = stop_services(made.stack(), ["redis", "app"])
    assert (halted.services, halted.needing) == (("app", "redis"), ())
    assert told == ["halt app", "halt redis"]
    told.clear()
    stack = replace(made.stack(), following=Follows(told))
    assert start_services(stack, []).services == ("redis", "app")
    assert told == ["restart redis", "follow redis", "restart app", "follow app"]


class Follows(Following):
    """Keeps what it was told beside what the engine was."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        self.told.append(f"follow {service}")


def test_one_whose_container_was_removed_is_left_to_up(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_services(made.stack(), ["redis"])
    observe = MemoryEngine.observe

    def removed(self: MemoryEngine, *, measure: bool = False) -> Observed:
        seen = observe(self, measure=measure)
        services = {name: replace(each, gone=name == "redis") for name, each in seen.services.items()}
        return replace(seen, services=services)

    monkeypatch.setattr(MemoryEngine, "observe", removed)
    done = start_services(made.stack(), ["redis"])
    assert (done.services, done.later) == ((), ("redis",))


def test_drift_does_not_miss_it_and_tells_where_somebody_started_it_past_techsapo(
    made: MemoryProject,
) -> None:
    stop_services(made.stack(), ["redis"])
    assert drift(made.history).findings == ()
    made.world.processes["redis"].state = State.RUNNING
    (finding,) = drift(made.history).findings
    assert finding.name == "redis"
    assert finding.what.startswith("is running, although it was stopped by ")


def test_restart_of_all_passes_it_over_and_by_its_name_says_who_stopped_it(made: MemoryProject) -> None:
    stack = made.stack()
    stop_services(stack, ["redis"])
    assert restart(stack.engine, ()) == ("app",)
    with pytest.raises(OpsError, match="redis was stopped by ") as caught:
        restart(stack.engine, ("redis",))
    assert caught.value.hint == "`techsapo start redis` starts it"


def test_health_says_that_it_was_meant(made: MemoryProject) -> None:
    stop_services(made.stack(), ["redis"])
    found = {p.name: p for p in check(made.stack(), timeout=0.5, now=datetime.now(UTC)).probes}
    assert found["redis"].status == "down"
    assert found["redis"].detail.startswith("stopped by ")
    assert found["redis"].hint == "`techsapo start redis`"


def test_a_kill_between_the_note_and_the_stop_is_finished_by_the_same_call(made: MemoryProject) -> None:
    stack = made.stack()

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_services(stack, ["redis"], say=die)
    assert states(made)["redis"] == "running"
    stop_services(stack, ["redis"])
    assert states(made)["redis"] == "stopped"


def test_a_damaged_note_says_what_to_do(made: MemoryProject) -> None:
    (made.stack().layout.state / NOTE).write_text("[1]")
    with pytest.raises(OpsError, match="is damaged"):
        made.up()
