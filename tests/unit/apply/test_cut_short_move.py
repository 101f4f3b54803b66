"""A move from one host to several that was killed: what `down` and `up` find, on that host and on others."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.three_hosts import of

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.apply.history import apply_journal, may_run_on, require_left
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.stop import down
from techsapo_ops.engines.opening import Opening, recorded
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology

REDIS = Record("redis", "redis", "127.0.0.1", 6379, "999", (), 10)
ENTRY = LedgerEntry(
    1, datetime(2026, 11, 27, tzinfo=UTC), "root", "up", "1", "swarm", None, "s", "1", "i", "failed"
)


class OneHost:
    """The docker client of this host: `there` are containers of Compose and of a Swarm in it."""

    def __init__(self, folder: Path, there: tuple[str, ...]) -> None:
        self.folder, self.there = folder, list(there)
        self.refused: str = ""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[1:]
        if self.refused:
            return Completed(command, 1, b"", self.refused.encode())
        out = ""
        if words[0] == "ps":
            out = "\n".join(self.there)
        elif words[:2] == ("container", "inspect"):
            out = json.dumps([self._entry(name) for name in words[2:]])
        elif words[0] == "rm":
            self.there = [name for name in self.there if name not in words]
        else:
            assert words[0] in {"stop", "network", "image"}, words
        return Completed(command, 0, out.encode(), b"")

    def _entry(self, name: str) -> dict[str, Any]:
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name}
        if name.startswith("shop_"):  # of an image that Compose has built
            labels |= {"com.docker.stack.namespace": "shop", "com.docker.swarm.service.name": name}
        else:
            labels["com.docker.compose.project.working_dir"] = str(self.folder / "docker")
        state = {"Status": "running", "Pid": 7, "StartedAt": "2026-11-27T03:00:00.1Z", "ExitCode": 0}
        return {
            "Id": name, "Name": name, "Image": f"sha256:{name}", "RestartCount": 0, "HostConfig": {},
            "Config": {"Labels": labels, "Image": name}, "State": state,
        }  # fmt: skip


@pytest.fixture
def where(tmp_path: Path) -> Topology:
    """A stack that was under Compose and is to be on three hosts: their note is there already."""
    found = of(tmp_path, project="shop", floating_address="10.0.0.100/24")
    note_machines(found.layout.state, "shop", found.machines)
    compose(found.layout).put(REDIS)
    return found


@pytest.fixture
def client(where: Topology, monkeypatch: pytest.MonkeyPatch) -> OneHost:
    monkeypatch.setattr(shutil, "which", lambda name, *_, **__: f"/usr/bin/{name}")
    monkeypatch.setattr("techsapo_ops.apply.stop.at_work", lambda *_: nullcontext(0))
    return OneHost(where.layout.config, ("redis",))


def compose(layout: Layout) -> StateFile:
    return StateFile(layout.state, "compose", "shop")


def begun_on(layout: Layout, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: host)
        apply_journal(layout).begin(ENTRY)


def test_the_same_host_knows_the_side_that_runs_at_each_moment(where: Topology, client: OneHost) -> None:
    opening, layout = Opening(client), where.layout
    assert recorded(layout, client).name == "compose"
    elsewhere = opening.recorded_elsewhere(where)
    assert elsewhere is not None, "`up` goes on by stopping it"
    assert elsewhere.stop() == ("redis",)
    assert client.there == []
    assert isinstance(recorded(layout, client), SwarmStack), "nothing else can run from here on"
    assert opening.recorded_elsewhere(where) is None
    StateFile(layout.state, "swarm", "shop").put(replace(REDIS, name="redis-a"))
    assert isinstance(recorded(layout, client), SwarmStack)


def test_down_stops_what_runs_on_this_host(where: Topology, client: OneHost) -> None:
    assert down(recorded(where.layout, client)) == ("redis",)
    assert client.there == []


def test_elsewhere_up_is_refused_while_it_may_run_on_the_first_host(
    where: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_on(where.layout, "first", monkeypatch)
    with pytest.raises(OpsError, match="from first to several hosts was interrupted") as refused:
        require_left(where.layout)
    assert "run `techsapo up` on first, in the stack's folder" in str(refused.value.hint)
    compose(where.layout).clear()
    assert may_run_on(where.layout) == ""
    require_left(where.layout)


def test_elsewhere_down_says_what_it_cannot_stop_and_up_is_free_then(
    where: Topology, client: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_on(where.layout, "first", monkeypatch)
    client.there.clear()
    warned: list[str] = []
    assert down(recorded(where.layout, client), warn=warned.append) == ()
    assert [line for line in warned if "the stack from first to several hosts was not finished" in line], (
        warned
    )
    require_left(where.layout)
