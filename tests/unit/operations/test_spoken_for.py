"""Which services an apply tells of as ready, where those of a kind are one cluster on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from fakes.memory_project import Told
from stacks import EVERYTHING, spec, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.work import Marks, Work
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
MEMBERS = ("mysql-a", "mysql-b", "mysql-c")


class Quiet:
    """A Running that does whatever it is told, several at the same time."""

    at_once = 8

    def perform(self, *_: Any) -> None: ...


def machines(folder: Path) -> Topology:
    more = {"engine": "swarm", "hosts": HOSTS, "floating_address": "10.0.0.100/24"}
    return topology(spec(**{k: v for k, v in EVERYTHING.items() if k != "redis"}, **more), folder, "swarm")


def told_of(where: Topology, actions: dict[str, Action], fails: int = 0) -> list[str]:
    told: list[str] = []

    def ready(service: str) -> None:
        told.append(service)
        if len(told) <= fails:
            raise OpsError("the database's cluster is busy")

    marks = Marks(ready, lambda *_: None)
    running = cast("Running", Quiet())
    work = Work(
        running, Desired(where, (), ()), Observed(True, {}), Told(), marks=marks, pause=lambda _: None
    )
    work.perform([Step(action, name, "") for name, action in actions.items()], stop=False)
    assert sum(o.error is not None for o in work.outcomes) == fails
    return sorted(told)


def test_of_members_that_were_left_as_they_are_one_speaks_for_all(tmp_path: Path) -> None:
    assert len(told_of(machines(tmp_path), dict.fromkeys(MEMBERS, Action.NOTHING))) == 1


def test_where_it_can_not_be_asked_the_next_one_is(tmp_path: Path) -> None:
    assert len(told_of(machines(tmp_path), dict.fromkeys(MEMBERS, Action.NOTHING), fails=1)) == 2
