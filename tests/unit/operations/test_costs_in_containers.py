"""Costs of a stack in containers: who is asked for the rows, and what is made of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.open_stacks import open_stack
from stacks import host, spec, topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.watch.costs import AUDIT, costs
from techsapo_ops.stack.engine import Observed, ObservedService, State
from techsapo_ops.stack.stack import Stack as Open
from techsapo_ops.stores.audit.costs import Call, Request, Rows

ROWS = Rows(
    (Request("2026-01-31", 0.5, "miss", ("a", "b"), 0.9, None, True, False),),
    (Call("a", "m", "2026-01-31", 2, 1, 10, 20, 0.5),),
)


class Stack:
    """An engine and a runner in one: what was asked, and the same answer each time."""

    def __init__(self, code: int = 0, said: bytes = json.dumps(ROWS.to_json()).encode()) -> None:
        self.answer = (code, said)
        self.states: dict[str, State] = {}
        self.asked: list[tuple[str, str]] = []

    def observe(self) -> Observed:
        seen = {n: ObservedService(n, "app", state, container="c") for n, state in self.states.items()}
        return Observed(True, seen)

    def reaches(self, service: str) -> bool:
        return service in self.states

    def enter(self, service: str, command: Command) -> Command:
        self.asked.append(("enter", service))
        return command

    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        self.asked.append((f"beside {image_of}".rstrip(), service))
        return command

    def left(self, kind: str) -> tuple[str, ...]:
        return (kind,)

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert " -m techsapo_ops costs --rows " in " ".join(command.argv)
        code, said = self.answer
        return Completed(command, code, said if code == 0 else b"", said if code else b"")


def books(stack: Any, directory: Path, **sections: Any) -> Open:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]}, **sections)
    return open_stack(topology(wanted, directory, "compose"), stack, stack)


def test_rows_travel_as_json_unchanged() -> None:
    assert Rows.from_json(json.loads(json.dumps(ROWS.to_json()))) == ROWS


def test_mariadb_is_read_once_by_an_instance_that_runs(tmp_path: Path) -> None:
    stack = Stack()
    stack.states = {"app-1": State.STOPPED, "app-2": State.STARTING}
    report = costs(books(stack, tmp_path, mysql={}), 30, "provider")
    assert stack.asked == [("enter", "app-2")]
    assert (report.requests, report.total_usd, report.rows[0].failed) == (1, 0.5, 1)


def test_the_sqlite_file_of_every_instance_is_read_also_of_one_that_is_stopped_or_gone(
    tmp_path: Path,
) -> None:
    stack = Stack()
    stack.states = {"app-1": State.STOPPED, "app-2": State.RUNNING}
    report = costs(books(stack, tmp_path), 30, "day")
    assert stack.asked == [("beside", "app-1"), ("beside", "app-2"), ("beside app-1", "app")]
    assert (report.requests, report.total_usd) == (3, 1.5)


def test_natively_root_reads_no_sqlite_file_that_the_apps_user_may_have_made_a_link(tmp_path: Path) -> None:
    wanted = spec(app={"instances": [{"port": 4000}, {"port": 4001}]})
    where = topology(wanted, tmp_path, facts=host(root=True, users=frozenset({"techsapo"})))
    victim = tmp_path / "empty"
    victim.touch()
    for name in ("app-1", "app-old"):
        (where.layout.data / name).mkdir(parents=True)
        (where.layout.data / name / AUDIT).symlink_to(victim)
    stack: Any = Stack()
    report = costs(open_stack(where, stack, stack), 30, "day")
    assert stack.asked == [("beside app-1", "app-1"), ("beside app-1", "app-old")]
    assert (report.requests, victim.read_bytes()) == (2, b"")


def test_without_an_instance_that_runs_mariadb_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="no instance of the app runs"):
        costs(books(Stack(), tmp_path, mysql={}), 30, "provider")


@pytest.mark.parametrize(
    ("code", "said", "match"),
    [
        (1, b"error: the audit database can't be read: gone\ntry: x", "audit log: the audit database can't"),
        (2, b"", "exit code 2"),
        (0, b"{}", "does not understand"),
        (0, b'{"requests": [[1]], "calls": []}', "does not understand"),
        (0, b"Usage: techsapo", "does not understand"),
    ],
)
def test_an_answer_that_is_none_is_said(code: int, said: bytes, match: str, tmp_path: Path) -> None:
    stack = Stack(code, said)
    stack.states = {"app-1": State.RUNNING}
    with pytest.raises(OpsError, match=match):
        costs(books(stack, tmp_path, mysql={}), 30, "provider")
