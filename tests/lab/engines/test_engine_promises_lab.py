"""What Running and Access promise: the native engine with real servers, and the one in memory, hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import World
from fakes.memory_project import MemoryProject, refuses
from projects import only_redis, project

from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.apply.generate import write_files
from techsapo_ops.apply.plan import desired_state
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Engine, GateError
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.state_format import note_format
from techsapo_ops.stack.step import Action, Plan, Step

pytestmark = pytest.mark.lab

RUNS = {State.RUNNING, State.STARTING}
BROKEN = "io-threads none"
"""A line that Redis refuses when it starts."""


class Interrupted(BaseException):
    """In place of kill -9 while a service starts."""


@dataclass
class Bench:
    """One stack of Redis and the app, and the engine that runs it."""

    open: Callable[[dict[str, Any]], Stack]
    stack: Stack

    @property
    def engine(self) -> Engine:
        return self.stack.engine

    def wanted(self, **redis: Any) -> Desired:
        """What is wanted with these settings of Redis; its engine is the bench's from then on."""
        self.stack = self.open(redis)
        return desired_state(self.stack.topology, self.stack.templates)

    def bring(self, desired: Desired, only: tuple[str, ...] = ()) -> Plan:
        """Write and perform; returns what was planned."""
        note_format(desired.topology.layout)
        write_files(desired.files, desired.topology, force=True)
        self.engine.prepare(desired)
        planned = self.engine.plan(desired, self.engine.observe(), only)
        for step in planned.steps:
            step.perform(self.engine, desired)
        return planned

    def states(self) -> dict[str, bool]:
        """Whether each service runs."""
        return {name: seen.state in RUNS for name, seen in self.engine.observe().services.items()}

    def pid(self, name: str) -> int | None:
        return self.engine.observe().services[name].pid

    def run(self, command: Command) -> str:
        done = SubprocessRunner().run(command)
        assert done.code == 0, done.output
        return done.output.strip()


@contextmanager
def native(folder: Path) -> Iterator[Bench]:
    spec = only_redis(schedule={"by": "none"})
    with project(spec) as made:

        def open_it(redis: dict[str, Any]) -> Stack:
            made.write(redis={**spec["redis"], **redis})
            return open_stack(open_project(made.directory / "techsapo.yaml"), seconds=60)

        yield Bench(open_it, open_it({}))


@contextmanager
def memory(folder: Path) -> Iterator[Bench]:
    made = MemoryProject(folder, World(refused=refuses("redis", BROKEN)))
    yield Bench(lambda redis: made.stack(redis=redis), made.stack())


@pytest.fixture(scope="module", params=[native, memory], ids=["native", "memory"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with request.param(tmp_path_factory.mktemp("promises")) as made:
        yield made


@pytest.fixture
def running(bench: Bench) -> Bench:
    """The whole stack, up to date."""
    bench.bring(bench.wanted())
    return bench


def changes(plan: Plan) -> list[tuple[Action, str]]:
    return [(step.action, step.service) for step in plan.changes]


def test_what_was_never_started_is_not_there_and_is_planned_in_the_order_of_needs(bench: Bench) -> None:
    desired = bench.wanted()
    assert not bench.engine.observe().running
    assert bench.engine.observe().services == {}
    planned = bench.bring(desired)
    assert changes(planned) == [(Action.CREATE, "redis"), (Action.CREATE, "app")]
    assert bench.states() == {"redis": True, "app": True}
    assert bench.engine.prove(desired, ["redis", "app"], 5.0) == ()


def test_what_is_up_to_date_is_left_alone(running: Bench) -> None:
    before = running.pid("redis")
    assert changes(running.bring(running.wanted())) == []
    assert running.pid("redis") == before
    seen = running.engine.observe(measure=True).services["redis"]
    assert seen.usage is not None
    assert seen.usage.memory_bytes > 0


def test_a_changed_file_restarts_what_reads_it_and_nothing_else(running: Bench) -> None:
    before = running.pid("redis")
    planned = running.bring(running.wanted(maxmemory="64mb"))
    assert (Action.RESTART, "redis") in changes(planned)
    assert planned.changes[0].reason == "redis/redis.conf changed"
    assert running.pid("redis") not in {before, None}
    assert changes(running.engine.plan(running.wanted(maxmemory="64mb"), running.engine.observe())) == []


def test_a_service_that_does_not_become_ready_says_so_and_is_made_anew_next_time(running: Bench) -> None:
    good = running.wanted()
    broken = tuple(
        replace(file, content=f"{file.content}{BROKEN}\n") if file.path == "redis/redis.conf" else file
        for file in good.files
    )
    with pytest.raises(GateError, match="redis did not become ready") as caught:
        running.bring(replace(good, files=broken), ("redis",))
    assert caught.value.service == "redis"
    assert caught.value.lines
    write_files(good.files, good.topology, force=True)
    planned = running.engine.plan(good, running.engine.observe())
    assert [s.reason for s in planned.changes if s.service == "redis"] == ["the last start did not finish"]
    running.bring(good)
    assert running.states() == {"redis": True, "app": True}


def test_a_start_that_was_killed_is_made_anew_by_the_next_one(running: Bench) -> None:
    desired = running.wanted()

    def die(_: str) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        Step(Action.RESTART, "redis", "for the test").perform(running.engine, desired, die)
    assert [s.reason for s in running.engine.plan(desired, running.engine.observe()).changes] == [
        "the last start did not finish"
    ]
    assert changes(running.bring(desired)) == [(Action.RECREATE, "redis")]


@pytest.mark.parametrize("action", [Action.RESTART, Action.RELOAD])
def test_a_restart_of_what_was_started_last_needs_nothing_wanted(running: Bench, action: Action) -> None:
    before = running.pid("redis")
    Step(action, "redis", "asked for").perform(running.engine)
    assert running.pid("redis") not in {before, None}, "Redis can't reload, so it is restarted"
    assert changes(running.engine.plan(running.wanted(), running.engine.observe())) == []
    with pytest.raises(OpsError, match="no service web"):
        Step(action, "web", "asked for").perform(running.engine)


def test_a_service_that_is_halted_stays_so_until_a_step_starts_it(running: Bench) -> None:
    running.engine.halt("redis")
    assert running.states() == {"redis": False, "app": True}
    planned = running.engine.plan(running.wanted(), running.engine.observe())
    assert [(s.action, s.service, s.reason) for s in planned.changes] == [
        (Action.CREATE, "redis", "is stopped")
    ]
    assert [m.service for m in running.engine.prove(running.wanted(), ["redis", "app"])] == ["redis"]
    Step(Action.RESTART, "redis", "asked for").perform(running.engine)
    assert running.states() == {"redis": True, "app": True}


def test_commands_run_in_the_data_folder_of_a_service_and_beside_one_that_is_gone(running: Bench) -> None:
    data = running.stack.layout.data
    where = Command(("sh", "-c", "pwd"))
    assert running.run(running.engine.enter("redis", where)) == str(data / "redis")
    running.engine.halt("redis")
    assert running.run(running.engine.beside("redis", where)) == str(data / "redis")
    assert running.engine.left("app") == ()
    assert running.run(running.engine.beside("app-9", where, image_of="app")) == str(data / "app-9")
    assert running.engine.left("app") == ("app-9",)
    (data / "app-9").rmdir()
    with pytest.raises(OpsError, match="no service web"):
        running.engine.enter("web", where)
    running.bring(running.wanted())


def test_a_throwaway_copy_has_what_was_put_into_it_and_leaves_nothing(running: Bench) -> None:
    def seed(folder: Path) -> None:
        (folder / "note").write_text("kept")

    with running.engine.scratch("redis", seed=seed) as made:
        assert made.password is not None
        assert made.run is not None
        assert (made.directory / "note").read_text() == "kept"
        assert made.run(Command(("sh", "-c", "echo in it"))).output.strip() == "in it"
        assert made.address.host == "127.0.0.1"
    assert not made.directory.exists()
    with pytest.raises(ZeroDivisionError), running.engine.scratch("redis") as made:
        raise ZeroDivisionError
    assert not made.directory.exists()


def test_logs_are_by_name_or_kind_and_an_unknown_one_is_an_error(running: Bench) -> None:
    assert running.engine.log_names([]) == ["redis", "app"]
    assert {line.service for line in running.engine.logs(["redis"], lines=None)} == {"redis"}
    assert len(list(running.engine.logs(["redis"], lines=1))) == 1
    with pytest.raises(OpsError, match="no service web"):
        running.engine.log_names(["web"])


def test_nothing_of_the_stack_runs_as_a_stranger(running: Bench) -> None:
    assert running.engine.prove(running.wanted(), (), strangers=True) == ()


def test_stopping_ends_everything_in_reverse_and_keeps_the_data(running: Bench) -> None:
    assert running.engine.stop() == ("app", "redis")
    observed = running.engine.observe()
    assert (observed.running, dict(observed.services)) == (False, {})
    assert (running.stack.layout.data / "redis").is_dir()
    assert running.engine.stop() == ()


def test_what_is_no_longer_wanted_is_removed_and_in_the_end_all_of_its_data(running: Bench) -> None:
    planned = running.bring(running.wanted().only({"redis"}))
    assert changes(planned) == [(Action.REMOVE, "app")]
    assert running.states() == {"redis": True}
    assert running.engine.stop(remove_data=True) == ("redis",)
    assert not running.stack.layout.data.exists()
    assert running.stack.layout.state.is_dir()
