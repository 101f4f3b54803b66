"""What proofs stand on: the machines, and a stack on them, made when the first proof asks for them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from projects import Project
from servers import binary
from swarm_lab import HOSTS, SwarmLab, swarm_lab

from tests.swarm.load import Load

PROJECT = "three"


@dataclass
class Ground:
    """Everything that the proofs of one run share; `parts` ends it."""

    parts: ExitStack
    cuts: int = 10
    """How often each fault is tried."""
    sections: dict[str, Any] = field(default_factory=dict)
    """Of the stack's spec, besides what it has anyway."""

    @cached_property
    def lab(self) -> SwarmLab:
        """Three machines in one swarm."""
        return self.parts.enter_context(swarm_lab())

    @cached_property
    def stack(self) -> Project:
        """A whole stack on them, up; its commands run on machine a."""
        made = project_on(self.lab, self.parts, **self.sections)
        made.run("up", "--yes", timeout=600)
        return made

    def roles(self) -> dict[str, str]:
        """The host of each role that one of them has at a time."""
        replies = {h: self.stack.run("exec", f"redis-{h}", "redis-cli", "ROLE").stdout for h in HOSTS}
        (master,) = (host for host, said in replies.items() if said.split()[:1] == ["master"])
        (holder,) = (host for host in HOSTS if f"inet {self.lab.floating}/" in self._addresses(host))
        return {"the address": holder, "Redis's master": master, "Swarm's leader": self.lab.leader("a")}

    def _addresses(self, host: str) -> str:
        argv = [*self.lab.enter(host), binary("ip"), "-oneline", "address"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def load(self, **changed: Any) -> Load:
        """Twenty requests a second at the floating address, whose ids the app takes for a drill's."""
        key = (self.stack.state / "keys/app-key").read_text(encoding="ascii").strip()
        return Load(**{"url": f"http://{self.lab.floating}", "key": key, **changed})


def project_on(lab: SwarmLab, parts: ExitStack, host: str = "a", **sections: Any) -> Project:
    """A project whose spec is of these machines and whose commands run on `host`; it is not up."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-swarm-"))
    parts.callback(shutil.rmtree, top)
    directory = top / PROJECT
    directory.mkdir()
    return Project(directory, lab.spec(**whole(**sections)), launcher=lab.enter(host))


def whole(**sections: Any) -> dict[str, Any]:
    """The sections of a stack with everything that several machines have."""
    off = {"enabled": False}
    return {
        "project": PROJECT,
        "app": {"drain": "2s"},
        # What simulated providers pretend to cost is kept account of as of real ones.
        "budget": {"count_simulated": True, "monthly_usd": 100_000.0},
        "mysql": {},
        "nginx": {"listen": 80, "tls_listen": 443},
        "monitoring": {"grafana": off},
        **sections,
    }
