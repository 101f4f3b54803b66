"""`techsapo exec`: which program it starts, and at whose terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.operations import executing
from techsapo_ops.services.console import Call
from techsapo_ops.stack.observed import State

STATE = {"redis": State.RUNNING}
Ran = list[tuple[str, tuple[str, ...]]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """What was run, and how; `client` is the service's own, anything else runs with its rights."""
    found: Ran = []

    def call(_: object, __: object, words: Sequence[str], *, terminal: bool) -> Call:
        if words[0] == "client":
            return Call(Command(tuple(words), {"PASSWORD": "of-the-service"}, terminal=terminal))
        return Call(Command(tuple(words), terminal=terminal), by_service=True)

    @contextmanager
    def recorded(*_: object) -> Iterator[dict[str, Any]]:
        yield {}

    def noted(how: str) -> Any:
        def run(command: Command, _: Mapping[str, str]) -> int:
            found.append((how, command.argv))
            return 0

        return run

    monkeypatch.setattr(executing, "require_owner", lambda _: None)
    monkeypatch.setattr(
        executing, "running_service", lambda _, word: (SimpleNamespace(name=word), STATE[word])
    )
    monkeypatch.setattr(executing, "console_of", lambda _: SimpleNamespace(default=("client",), call=call))
    monkeypatch.setattr(executing, "recorded", recorded)
    monkeypatch.setattr(executing, "attached", noted("attached"))
    monkeypatch.setattr(executing, "attached_apart", noted("apart"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return found


def execute(*words: str) -> int:
    stack: Any = SimpleNamespace(layout=None)
    return executing.execute(stack, "redis", words, terminal=True, warn=lambda _: None)


def test_a_password_is_not_given_to_whoever_has_the_port_of_a_service_that_keeps_ending(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STATE, "redis", State.BACKOFF)
    with pytest.raises(OpsError, match="keeps ending"):
        execute()
    execute("sh")
    assert [argv for _, argv in ran] == [("sh",)]


def stack_at(state: Path) -> Any:
    return SimpleNamespace(layout=SimpleNamespace(state=state))


def test_only_its_owner_and_root_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executing.require_owner(stack_at(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OpsError, match="only its owner may enter") as caught:
        executing.require_owner(stack_at(tmp_path))
    assert isinstance(caught.value.__cause__, PermissionError)
    others = Mock(return_value=SimpleNamespace(st_uid=4242))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", others)
        patch.setattr("os.geteuid", lambda: 0)
        executing.require_owner(stack_at(tmp_path))
