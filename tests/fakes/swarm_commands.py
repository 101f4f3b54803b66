"""Commands on the fake Swarm of swarm_cluster.py, from folders on several hosts; some are killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from stacks import spec, templates, topology

from fakes.memory_engine import Killed
from fakes.memory_project import QUIET, NoProgram, Told
from techsapo_ops.apply import plan
from techsapo_ops.apply.history import History
from techsapo_ops.apply.plan import StackPlan, plan_of
from techsapo_ops.apply.stop import down
from techsapo_ops.apply.up import RollbackReport, UpReport, rollback, up
from techsapo_ops.engines import at_work
from techsapo_ops.engines.opening import Opening, recorded
from techsapo_ops.engines.swarm import lease, watch
from techsapo_ops.engines.swarm.lease import LOST_SECONDS
from techsapo_ops.engines.swarm.machines_note import MachinesNote
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from tests.fakes.swarm_cluster import LEFT, Coordinator, SwarmCluster

HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
PROJECT = "shop"
AFTER: dict[str, Any] = {
    "redis": {"maxmemory": "512M"},
    "app": {"instances": [{"port": 4000}, {"port": 4001}]},
}
"""Another configuration of Redis, services that are new, and the app of before that is no more."""


@dataclass
class Commands:
    """What is called on the hosts, in folders of theirs below `folder`."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    cluster: SwarmCluster = field(default_factory=lambda: SwarmCluster(PROJECT))
    said: Told = field(default_factory=Told)

    rendered: dict[Any, Any] = field(default_factory=dict)
    """Files by folder and spec: they are the same each time, and take half of a second."""

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(at_work, "SubprocessRunner", lambda: self.cluster)
        self.monkeypatch.setattr(watch, "_MOMENT", 0)  # here a look costs nothing
        self.monkeypatch.setattr(watch, "_PAUSE", 0.01)
        self.monkeypatch.setattr(os, "fsync", lambda _: None)  # who is killed leaves the power on
        self.monkeypatch.setattr(plan, "render_stack", self._rendered)

    def _rendered(self, where: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
        key = where.layout.state, where.spec.model_dump_json()
        if key not in self.rendered:
            self.rendered[key] = render_stack(where, templates)
        found: tuple[RenderedFile, ...] = self.rendered[key]
        return found

    def state(self, host: str) -> Path:
        return self.folder / host / PROJECT / ".techsapo"

    def layout(self, host: str) -> Layout:
        return Layout(self.state(host), self.state(host) / "generated")

    def stack(self, host: str, sections: dict[str, Any] | None = None) -> Stack:
        """The open stack of the project folder on `host`, as cli/open_stack opens it."""
        directory = self.state(host).parent
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "techsapo.yaml").write_text("project: shop\n")
        images = {"app": "shop/app:1", "keepalived": "shop/keepalived:1"}
        given = {
            "project": PROJECT, "engine": "swarm", "hosts": HOSTS, "floating_address": "10.0.0.100/24",
            "mysql": {}, "images": images, **QUIET, **(sections or {}),
        }  # fmt: skip
        where = topology(spec(**given), directory, "swarm")
        where = replace(where, host=replace(where.host, binaries={}))
        self.come(host)
        engines = Opening(self.cluster).engine
        return Stack(
            where, engines(where), NoProgram(), directory, templates(), engines,
            user="alice", pause=lambda _: None,
        )  # fmt: skip

    def come(self, host: str) -> None:
        """Be on `host`; its folder gets what the machines have."""
        self.monkeypatch.setattr(socket, "gethostname", lambda: host)
        if self.cluster.who is None or self.cluster.who.state != self.state(host):
            self.cluster.on(self.state(host))
        layout = self.layout(host)
        machines = topology(spec(engine="swarm", hosts=HOSTS, mysql={}), self.folder, "swarm").machines
        at_work.refresh(layout, MachinesNote(PROJECT, machines), self.cluster, self.said.say)

    def up(self, host: str, sections: dict[str, Any] | None = None) -> UpReport:
        return self.up_opened(self.stack(host, sections))

    def up_opened(self, stack: Stack) -> UpReport:
        report = up(stack, self.said)
        assert report is not None
        return report

    def plan(self, host: str, sections: dict[str, Any] | None = None) -> StackPlan:
        return plan_of(self.stack(host, sections))

    def rollback(self, host: str, sections: dict[str, Any] | None = None) -> RollbackReport:
        report = rollback(History.of(self.stack(host, sections)), None, self.said, approve=lambda *_: True)
        assert report is not None
        return report

    def down(self, host: str) -> tuple[str, ...]:
        """By what the state directory tells, without the spec."""
        self.come(host)
        return down(recorded(self.layout(host), self.cluster), warn=self.said.warn)

    def killed(
        self, host: str, sections: dict[str, Any] | None, dies: str, number: int = 1, *, downs: bool = False
    ) -> Coordinator:
        """`up`, or `down`, on `host`, killed as by kill -9 at a point: see Coordinator."""
        opened = self.stack(host, sections)
        who = self.cluster.on(self.state(host), dies=dies, number=number)
        gone = subprocess.Popen(["true"])
        gone.wait()
        own = lease.own_words
        with self.monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(lease, "own_words", lambda: {**own(), "pid": gone.pid})
            self.down(host) if downs else up(opened, self.said)
        assert who.dead, who.points
        shutil.rmtree(self.state(host))
        self.state(host).with_name(LEFT).rename(self.state(host))
        self.cluster.who = None
        return who

    def a_minute_later(self) -> None:
        """The lease of a command that is gone has ended, as another host sees it."""
        self.cluster.store.pass_by(LOST_SECONDS + 1)
