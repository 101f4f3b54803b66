"""An engine whose services run in memory: all that the real ones promise, and faults on demand.

Its notes are the real state.json and its data folders real folders, so that what a killed apply leaves behind
is there for the next one. `tests/lab/engines/test_engine_promises_lab.py` holds it to the same promises as
the native engine.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from typing_extensions import override

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.engines import planning
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.problems import unknown
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.desired import Desired, RenderedFile, Unit
from techsapo_ops.stack.engine import Engine, GateError, Mismatch, Scratch
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import LogLine, Observed, ObservedService, State, Usage, stopped_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

BEGINNING = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Killed(BaseException):
    """In place of kill -9: nothing of the package catches it."""


@dataclass
class Process:
    """What really runs of one service, whatever the notes say: its `unit` and the configuration it loaded."""

    unit: Unit
    loaded: str
    pid: int
    state: State = State.RUNNING
    started: datetime = BEGINNING
    restarts: int = 0
    build: str | None = None
    outdated: bool = False
    replaced: str = ""
    image: str = ""


@dataclass
class World:
    """The host of one stack: what runs on it, and what goes wrong there.

    `refused` says why a service does not become ready as it is wanted, "" where it does. `deaf` ones ignore a
    change that they are told of. `kill` is asked before and after each step that does something, with its
    words (`before restart redis`), and says whether the tool dies there. `told` is what the engine was told.
    """

    refused: Callable[[Unit, tuple[RenderedFile, ...]], str] = lambda unit, files: ""
    deaf: set[str] = field(default_factory=set)
    kill: Callable[[str], bool] = lambda words: False
    strangers: list[str] = field(default_factory=list)
    at_once: int = 1
    taken: dict[int, str] = field(default_factory=dict)
    """By port, who else listens there."""
    running: bool = False
    processes: dict[str, Process] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    """Image id by service, for services that are made from one."""
    log: list[LogLine] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    concluded: list[tuple[str, ...]] = field(default_factory=list)
    """What the engine had been told each time when it was to conclude."""
    together: list[tuple[str, ...]] = field(default_factory=list)
    """For each step, the services that it was said to be performed with."""
    throwaways: list[str] = field(default_factory=list)
    """Kinds of the throwaway copies that are there now."""
    pids: Iterator[int] = field(default_factory=lambda: itertools.count(100))
    lock: Lock = field(default_factory=Lock)

    def engine(self, topology: Topology) -> MemoryEngine:
        """The engine that runs `topology` here."""
        return MemoryEngine(topology, self)

    def leaves(self, topology: Topology) -> None:
        """There is no other engine."""

    def end(self, name: str, state: State = State.CRASHED) -> None:
        """A service ends by itself."""
        self.processes[name].state = state

    def lose(self, layout: Layout, name: str) -> None:
        """Somebody has removed a service, and the note of it."""
        del self.processes[name]
        StateFile(layout.state, "native").drop(name)


class MemoryEngine(Engine):
    """Runs `topology` in `world`; see stack.engine.Engine for what each method promises."""

    def __init__(self, topology: Topology, world: World) -> None:
        self.name = topology.engine
        self.layout = topology.layout
        self.at_once = world.at_once
        self.python = sys.executable
        self.enters_as_root = False
        self.topology = topology
        self.world = world
        self.state = StateFile(topology.layout.state, topology.engine)

    @property
    def gone(self) -> str:
        return "nothing of this stack runs"

    @property
    def data_place(self) -> str:
        return f"below {self.layout.data}"

    @override
    def observe(self, *, measure: bool = False) -> Observed:
        records = self.state.load()
        services = {name: self._observed(record, measure) for name, record in records.items()}
        for name, process in self.world.processes.items():
            if name not in records:
                kind = name.rpartition("-")[0] or name
                why = "it was not started by `techsapo up`"
                services[name] = ObservedService(name, kind, process.state, drift=why)
        return Observed(self.world.running, services, stopped=stopped_of(self.layout))

    def _observed(self, record: Record, measure: bool) -> ObservedService:
        seen = ObservedService(
            record.name,
            record.kind,
            State.STOPPED,
            fingerprint="" if record.pending else record.fingerprint,
            config=record.config,
            files=record.files,
            host=record.host,
            port=record.port,
            user=record.user,
        )
        process = self.world.processes.get(record.name)
        if process is None or not self.world.running:
            return seen
        runs = process.state in {State.RUNNING, State.STARTING, State.BACKOFF}
        return replace(
            seen,
            state=process.state,
            pid=process.pid if runs else None,
            started=process.started if runs else None,
            restarts=process.restarts,
            build=process.build,
            outdated=process.outdated and runs,
            replaced=process.replaced if runs else "",
            image=process.image,
            usage=Usage(1.0, 1 << 20) if measure and runs else None,
        )

    @override
    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        return planning.plan(desired, observed, only)

    @override
    def prepare(self, desired: Desired) -> None:
        self.world.told.append("prepare")
        for service in desired.topology.services:
            (self.layout.data / service.name).mkdir(parents=True, exist_ok=True)
        self.world.running = True

    @override
    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        if step.action is Action.NOTHING:
            self._ready(step.service)
            return
        self._dies(f"before {step.action} {step.service}")
        with self.world.lock:
            self.world.told.append(f"{step.action} {step.service}")
            self.world.together.append(tuple(other.service for other in together))
            if step.action is Action.REMOVE:
                self.world.processes.pop(step.service, None)
                self.state.drop(step.service)
            elif desired is None:
                self._again(step)
            else:
                self._change(step, desired, say)
        self._dies(f"after {step.action} {step.service}")

    def _dies(self, words: str) -> None:
        if self.world.kill(words):
            raise Killed(words)

    def _change(self, step: Step, desired: Desired, say: Callable[[str], None]) -> None:
        unit = desired.unit(step.service)
        service = desired.topology.find(step.service)
        assert unit is not None
        assert service is not None
        self.state.put(
            Record(
                service.name, service.kind, service.host, service.port, service.user, service.needs, 10,
                fingerprint=unit.fingerprint, config=unit.config_digest(desired.files),
                files=planning.file_digests(unit, desired.files), pending=True,
            )
        )  # fmt: skip
        before = self.world.processes.get(service.name)
        why = self.world.refused(unit, desired.files)
        if step.action is not Action.RELOAD or before is None:
            loaded = before.loaded if before is not None and service.name in self.world.deaf else None
            before = Process(
                unit,
                unit.config_digest(desired.files) if loaded is None else loaded,
                next(self.world.pids),
                image=self.world.images.get(service.name, ""),
            )
            self.world.processes[service.name] = before
            before.state = State.BACKOFF if why else State.RUNNING
        elif not why and service.name not in self.world.deaf:
            before.loaded = unit.config_digest(desired.files)
        self.world.log.append(LogLine(service.name, why or f"{service.name} is ready", BEGINNING))
        say(f"waiting for {service.name}")
        self._dies(f"during {step.action} {step.service}")
        if step.action is not Action.RELOAD:
            self._ready(service.name)
        self.state.settle(service.name)

    def _again(self, step: Step) -> None:
        """A restart or a reload of what was started last."""
        records = self.state.load()
        if step.service not in records:
            raise unknown("service", step.service, list(records))
        if not self.world.running:
            raise OpsError("the stack is not running", "`techsapo up` starts it")
        process = self.world.processes[step.service]
        service = self.topology.find(step.service)
        if step.action is Action.RESTART or service is None or service.facts.reload is None:
            process.pid, process.state = next(self.world.pids), State.RUNNING
        process.loaded = records[step.service].config

    def _ready(self, name: str) -> None:
        process = self.world.processes.get(name)
        if process is None or process.state is not State.RUNNING:
            lines = tuple(line.text for line in self.world.log if line.service == name)
            why = lines[-1] if lines else "it does not run"
            raise GateError(name, why, lines, f"{name} did not become ready: {why}", "")

    @override
    def taken_by(self, host: str, port: int) -> str:
        return self.world.taken.get(port, "")

    @override
    def holders(self) -> Mapping[int, str]:
        return self.world.taken

    @override
    def conclude(self, desired: Desired) -> None:
        self.world.concluded.append(tuple(self.world.told))

    @override
    def prove(
        self, desired: Desired, services: Sequence[str], wait: float = 0.0, *, strangers: bool = False
    ) -> tuple[Mismatch, ...]:
        found = [self._mismatch(name, unit, desired) for name in services if (unit := desired.unit(name))]
        odd = [Mismatch("", words) for words in self.world.strangers] if strangers else []
        return (*(mismatch for mismatch in found if mismatch is not None), *odd)

    def _mismatch(self, name: str, unit: Unit, desired: Desired) -> Mismatch | None:
        process = self.world.processes.get(name)
        if process is None or process.state is not State.RUNNING or not self.world.running:
            return Mismatch(name, "it does not run", restart=True)
        if process.unit.fingerprint != unit.fingerprint:
            return Mismatch(name, "it was started with other arguments", restart=True)
        if process.loaded != unit.config_digest(desired.files):
            return Mismatch(name, "it runs another configuration")
        return None

    @override
    def log_names(self, services: Sequence[str]) -> list[str]:
        records = self.state.load()
        kinds = {name: record.kind for name, record in records.items()}
        return planning.named(services, list(records), kinds) if services else list(records)

    @override
    def logs(
        self,
        services: Sequence[str],
        *,
        follow: bool = False,
        lines: int | None = 100,
        since: datetime | None = None,
    ) -> Iterator[LogLine]:
        names = self.log_names(services)
        found = [
            line
            for line in self.world.log
            if line.service in names and (since is None or (line.time is not None and line.time >= since))
        ]
        return iter(found if lines is None else found[max(len(found) - lines, 0) :])

    @override
    def discard(self, images: Collection[str]) -> None:
        self.world.told.append(f"discard {', '.join(sorted(images))}")

    @override
    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        self.world.told.append("stop")
        stopped = [name for name in reversed(self.state.load()) if name in self.world.processes]
        self.world.processes.clear()
        self.world.running = False
        self.state.clear()
        if remove_data and self.layout.data.exists():
            shutil.rmtree(self.layout.data)
        return tuple(stopped)

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        self._known(service)
        process = self.world.processes.get(service)
        if process is None or process.state not in {State.RUNNING, State.STARTING}:
            raise OpsError(f"{service} does not run")
        return replace(command, cwd=command.cwd or self.layout.data / service)

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        self._known(image_of or service)
        folder = self.layout.data / service
        folder.mkdir(parents=True, exist_ok=True)
        return replace(command, cwd=command.cwd or folder)

    @override
    def tool(self, service: str, command: Command) -> Command:
        return command

    @override
    def reaches(self, service: str) -> bool:
        return self.topology.find(service) is not None

    @override
    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        return (self.layout.data / service / file).exists()

    @override
    def data_entries(self, service: str) -> frozenset[str] | None:
        folder = self.layout.data / service
        return frozenset(each.name for each in folder.iterdir()) if folder.is_dir() else frozenset()

    @override
    def removal(self, service: str) -> str:
        return f"move .techsapo/data/{service} away"

    @override
    def left(self, kind: str) -> tuple[str, ...]:
        folders = (*self.layout.data.glob(kind), *sorted(self.layout.data.glob(f"{kind}-*")))
        return tuple(folder.name for folder in folders if self.topology.find(folder.name) is None)

    @override
    def prober_inside(self) -> Callable[[Service, float], ProbeResult]:
        def ask(service: Service, _: float) -> ProbeResult:
            process = self.world.processes.get(service.name)
            runs = process is not None and process.state is State.RUNNING
            return ProbeResult(runs, "it runs" if runs else "it does not run", 0.0)

        return ask

    @override
    def halt(self, service: str) -> None:
        self._known(service)
        self.world.told.append(f"halt {service}")
        self.world.processes[service].state = State.STOPPED

    @override
    @contextmanager
    def scratch(self, service: str, *, seed: Callable[[Path], None] | None = None) -> Iterator[Scratch]:
        self._known(service)
        parent = self.layout.state / "scratch"
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{service}-", dir=parent))
        self.world.throwaways.append(service)
        runner = SubprocessRunner()
        try:
            if seed is not None:
                seed(folder)
            yield Scratch(
                Address("127.0.0.1", 1), folder, "default", Secret("throwaway"),
                lambda command: runner.run(replace(command, cwd=folder)),
                lambda command: replace(command, cwd=folder),
            )  # fmt: skip
        finally:
            self.world.throwaways.remove(service)
            shutil.rmtree(folder)

    def _known(self, service: str) -> None:
        if self.topology.find(service) is None:
            raise unknown("service", service, [s.name for s in self.topology.services])
