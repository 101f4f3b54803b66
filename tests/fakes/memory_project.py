"""A project whose stack runs in memory: files, ledger and journal are real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stacks import host, spec, templates, topology

from fakes.memory_engine import MemoryEngine, World
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.apply.drift import drift
from techsapo_ops.apply.history import History
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.outcome import Outcome
from techsapo_ops.apply.up import RollbackReport, UpReport, rollback, up
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import RenderedFile, Unit
from techsapo_ops.stack.stack import Stack

OFF = {"enabled": False}
QUIET: Mapping[str, Any] = {
    "monitoring": {
        "prometheus": OFF,
        "alertmanager": OFF,
        "grafana": OFF,
        "exporters": dict.fromkeys(("node", "redis", "mysqld", "nginx")),
    },
    "schedule": {"by": "none"},
}
"""A stack of Redis and the app alone."""


class NoProgram:
    """A host without any program; up says which validators it misses."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        raise OpsError(f"{command} must not run here")


@dataclass
class Told:
    """A listener that keeps what it was told."""

    words: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.words.append(text)

    def warn(self, text: str) -> None:
        self.words.append(text)

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class MemoryProject:
    """A folder, and the world in which its stack runs. `sections` are those of its spec."""

    folder: Path
    world: World = field(default_factory=World)
    said: Told = field(default_factory=Told)
    sections: dict[str, Any] = field(default_factory=dict)

    def stack(self, **sections: Any) -> Stack:
        """The open stack, on a host where no validator can be run."""
        model = spec(**{**QUIET, **self.sections, **sections})
        names = ("redis-server", "nginx", "mariadbd")
        facts = replace(host(), binaries={n: f"/usr/sbin/{n}" for n in names})
        where = topology(model, self.folder, facts=facts)
        where = replace(where, host=replace(facts, binaries={}))
        return Stack(
            where, self.world.engine(where), NoProgram(), self.folder, templates(),
            self.world.engine, user="alice", leaves=self.world.leaves, pause=lambda _: None,
        )  # fmt: skip

    @property
    def engine(self) -> MemoryEngine:
        """The engine of the stack as its spec is now."""
        stack = self.stack()
        return self.world.engine(stack.topology)

    @property
    def history(self) -> History:
        return History.of(self.stack())

    @property
    def ledger(self) -> Ledger:
        return self.history.ledger

    @property
    def config(self) -> Path:
        """The generated files."""
        return self.folder / ".techsapo" / "generated"

    def up(self, *, sections: Mapping[str, Any] | None = None, **options: Any) -> UpReport:
        report = up(self.stack(**(sections or {})), self.said, **options)
        assert report is not None
        return report

    def rollback(self, reference: str | None = None, *, yes: bool = True) -> RollbackReport | None:
        return rollback(self.history, reference, self.said, approve=lambda *_: yes)

    def findings(self) -> list[tuple[str, str, str]]:
        return [(f.kind, f.name, f.what) for f in drift(self.history).findings]


def refuses(service: str, *words: str, why: str = "") -> Any:
    """A `World.refused`: `service` does not become ready with any of `words` in its configuration."""

    def refused(unit: Unit, files: tuple[RenderedFile, ...]) -> str:
        read = [f.content for f in files if unit.config and f.path.startswith(unit.config)]
        bad = unit.service == service and any(word in text for text in read for word in words)
        return (why or f"{service} is broken") if bad else ""

    return refused
