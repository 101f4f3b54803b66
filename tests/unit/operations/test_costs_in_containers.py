"""Costs of a stack in containers: who is asked for the rows, and what is made of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.memory_engine import MemoryEngine, Process, World
from fakes.open_stacks import open_stack
from stacks import host, spec, topology
from typing_extensions import override

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.state import Record
from techsapo_ops.operations.watch.costs import AUDIT, costs
from techsapo_ops.stack.desired import Program
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.stack import Stack as Open
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.rows import Call, Request, Rows

ROWS = Rows(
    (Request("2026-01-31", 0.5, "miss", ("a", "b"), 0.9, None, True, False),),
    (Call("a", "m", "2026-01-31", 2, 1, 10, 20, 0.5),),
)


class Apps(MemoryEngine):
    """The instances of an app in these `states`; it notes which of them are entered."""

    def __init__(self, where: Topology, states: Mapping[str, State]) -> None:
        super().__init__(where, World(running=True))
        self.asked: list[tuple[str, str]] = []
        for pid, (name, state) in enumerate(states.items(), 1):
            self.state.put(Record(name, "app", "127.0.0.1", 4000, None, (), 10))
            program = Program(name, (), where.layout.data / name)
            self.world.processes[name] = Process(program, "", pid, state)

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        self.asked.append(("enter", service))
        return super().enter(service, command, root=root)

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        self.asked.append((f"beside {image_of}".rstrip(), service))
        return super().beside(service, command, image_of=image_of)


@dataclass
class Answer:
    """A runner that gives the same answer each time."""

    code: int = 0
    said: bytes = json.dumps(ROWS.to_json()).encode()

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert " -m techsapo_ops costs --rows " in " ".join(command.argv)
        out, err = (self.said, b"") if self.code == 0 else (b"", self.said)
        return Completed(command, self.code, out, err)


def lab(
    directory: Path, states: Mapping[str, State], answer: Answer | None = None, **sections: Any
) -> tuple[Apps, Open]:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]}, **sections)
    engine = Apps(topology(wanted, directory, "compose"), states)
    return engine, open_stack(engine.topology, engine, answer or Answer())


def test_the_sqlite_file_of_every_instance_is_read_also_of_one_that_is_stopped_or_gone(
    tmp_path: Path,
) -> None:
    engine, stack = lab(tmp_path, {"app-1": State.STOPPED, "app-2": State.RUNNING})
    (engine.layout.data / "app").mkdir(parents=True)
    report = costs(stack, 30, "day")
    assert engine.asked == [("beside", "app-1"), ("beside", "app-2"), ("beside app-1", "app")]
    assert (report.requests, report.total_usd) == (3, 1.5)


def test_natively_root_reads_no_sqlite_file_that_the_apps_user_may_have_made_a_link(tmp_path: Path) -> None:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]})
    where = topology(wanted, tmp_path, facts=host(root=True, users=frozenset({"techsapo"})))
    victim = tmp_path / "empty"
    victim.touch()
    for name in ("app-1", "app-old"):
        (where.layout.data / name).mkdir(parents=True)
        (where.layout.data / name / AUDIT).symlink_to(victim)
    engine = Apps(where, {})
    report = costs(open_stack(where, engine, Answer()), 30, "day")
    assert engine.asked == [("beside app-1", "app-1"), ("beside app-1", "app-old")]
    assert (report.requests, victim.read_bytes()) == (2, b"")
