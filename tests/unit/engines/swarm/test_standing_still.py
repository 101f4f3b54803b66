"""A command that stood still, and may no longer be the only one: nothing of a Swarm is changed by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.swarm import Note
from techsapo_ops.engines.swarm import shared_state
from techsapo_ops.engines.swarm.lease import Lease
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Machine


class Calls:
    """A Runner that does whatever it is told, and has nothing."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        self.done.append(command.argv[3:])
        return Completed(command, 0, b"", b"")


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def stack(tmp_path: Path, calls: Calls) -> SwarmStack:
    machines = [Machine("a", "10.0.0.1", "unix:///a")]
    return SwarmStack(
        Layout(tmp_path, tmp_path), "shop", Fleet(calls, "docker", {"a": "unix:///a"}), machines
    )


@pytest.fixture
def late(stack: SwarmStack) -> Iterator[Lease]:
    note = Note("id", "shop.lease.1", {}, datetime.now(UTC))
    lease = Lease(lambda: stack.fleet.manager, "shop.lease", note, "m", lost="another command has taken over")
    shared_state._LEASES[stack.layout.state] = lease
    yield lease
    shared_state._LEASES.pop(stack.layout.state, None)


@each_row(
    "words",
    [
        "stack rm shop", "service rm shop_app-a", "service update --force shop_app-a", "network rm n",
        "volume rm shop_redis-a", "volume create shop_x", "node update --availability drain n",
        "node update --label-add x=y n", "node demote n", "node rm --force n", "config rm c", "secret rm s",
        "container rm --force c", "swarm update --dispatcher-heartbeat 5s",
    ],
)  # fmt: skip
def test_nothing_is_changed_once_another_one_may_be_at_work(
    stack: SwarmStack, calls: Calls, late: Lease, words: str
) -> None:
    late.lost = "another command has taken over"
    for change in (stack.fleet.call, stack.fleet.manager.attempt, stack.fleet.members["a"].call):
        with pytest.raises(OpsError, match=r"this command stops, .*has taken over"):
            change(*words.split())
    assert tuple(words.split()) not in calls.done

    late.lost = ""
    stack.fleet.call(*words.split())
    assert calls.done[-1] == tuple(words.split())


@each_row(
    "words",
    ["service ls", "stack ps shop", "volume ls", "node ls", "node inspect n", "ps -a", "config inspect c",
     "node update --availability active n"],
)  # fmt: skip
def test_looking_and_bringing_back_goes_on(stack: SwarmStack, late: Lease, words: str) -> None:
    stack.fleet.call(*words.split())


def test_a_down_that_stood_still_removes_nothing_and_can_be_called_again(
    stack: SwarmStack, calls: Calls, late: Lease
) -> None:
    with pytest.raises(OpsError, match="this command stops"):
        stack.stop(remove_data=True)
    assert ("stack", "rm", "shop") not in calls.done

    del shared_state._LEASES[stack.layout.state]
    stack.stop(remove_data=True)
    assert ("stack", "rm", "shop") in calls.done
