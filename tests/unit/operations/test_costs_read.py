"""Costs are read by the app's own user, whose files may be links."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.memory_engine import MemoryEngine, World
from fakes.open_stacks import open_stack
from stacks import host, spec, topology
from typing_extensions import override

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.operations.watch.costs import AUDIT, costs
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.rows import Call, Requests, Rows

ROWS = Rows(
    (Requests("2026-01-31", 0.5, "miss", False),),
    (Call("a", "m", "2026-01-31", 2, 1, 10, 20, 0.5),),
)


class Apps(MemoryEngine):
    """The instances of an app; it notes beside which of them a command runs."""

    def __init__(self, where: Topology) -> None:
        super().__init__(where, World(running=True))
        self.asked: list[tuple[str, str]] = []

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        self.asked.append((image_of, service))
        return super().beside(service, command, image_of=image_of)


class Answer:
    """A runner that gives the same rows each time."""

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert " -m techsapo_ops answers costs --rows " in " ".join(command.argv)
        return Completed(command, 0, json.dumps(ROWS.to_json()).encode(), b"")


def test_natively_root_reads_no_sqlite_file_that_the_apps_user_may_have_made_a_link(tmp_path: Path) -> None:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]})
    where = topology(wanted, tmp_path, facts=host(root=True, users=frozenset({"techsapo"})))
    victim = tmp_path / "empty"
    victim.touch()
    for name in ("app-1", "app-old"):
        (where.layout.data / name).mkdir(parents=True)
        (where.layout.data / name / AUDIT).symlink_to(victim)
    engine = Apps(where)
    report = costs(open_stack(where, engine, Answer()), 30, "day")
    assert engine.asked == [("app-1", "app-1"), ("app-1", "app-old")]
    assert (report.requests, victim.read_bytes()) == (2, b"")
