"""The open stack: what an operation takes as its one argument."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Runner
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.engine import Engine, Recorded
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.template_folders import Overrides, find_overrides
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Access
    from techsapo_ops.stack.topology import Topology


class Following:
    """Nothing. Every method may raise OpsError."""

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        """`service` is ready, and what needs it has not been started yet; also where it ran already."""

    def settled(self, access: Access, topology: Topology) -> None:
        """All runs as it was asked for."""


Engines = Callable[[Topology], Engine]
"""Builds the engine that runs a topology: another one than now where ports or passwords changed since."""
Leaves = Callable[[Topology], Recorded | None]
"""The stack as an engine brought it up that is not the topology's, where that one still has it."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, resolved on this host, and the doors through which it is worked on.

    Built in one place, cli/open_stack. `directory` is where the spec's relative paths begin, `user` works on
    it.
    """

    topology: Topology
    engine: Engine
    runner: Runner
    directory: Path
    templates: Templates
    engines: Engines
    user: str = ""
    leaves: Leaves = lambda _: None
    """The stack as another engine brought it up, where that one still has it."""
    pause: Callable[[float], None] = time.sleep
    """Waits so many seconds."""
    following: Following = field(default_factory=Following)
    """What has to follow in a service that is ready."""
    check_spec: Callable[[str], Spec | None] = lambda _: None
    """The spec of a text. Raises OpsError for one that could not be used in place of this one."""
    disabled: Mapping[str, str] = field(default_factory=dict)
    """The providers that the spec's loader left out, and why."""

    @property
    def spec(self) -> Spec:
        """The spec that it was resolved from."""
        return self.topology.spec

    @property
    def layout(self) -> Layout:
        """The directories of the stack."""
        return self.topology.layout

    @property
    def overrides(self) -> Overrides:
        """The folders of the operator's own templates."""
        return find_overrides(self.directory, self.spec.template_overrides)
