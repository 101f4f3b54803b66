"""Open stacks for tests that look at a topology, or go through doors of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml
from projects import only_redis
from stacks import templates

from techsapo_ops.adapters.process import Runner, SubprocessRunner
from techsapo_ops.cli import open_stack as cli
from techsapo_ops.cli.project import open_project
from techsapo_ops.spec.models.upkeep import Backup
from techsapo_ops.stack.engine import Engine
from techsapo_ops.stack.observed import Observed, ObservedService
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology


class NoEngine:
    """An engine that nobody may ask."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"the engine was asked to {name}")


class Seen:
    """An engine that says what exists, and does nothing."""

    def __init__(self, *services: ObservedService) -> None:
        self._services = {service.name: service for service in services}
        self.delivered = 0
        self.lacking: dict[str, str] = {}

    def deliver(self) -> dict[str, str]:
        self.delivered += 1
        return self.lacking

    def away(self) -> dict[str, str]:
        return {}

    def observe(self, *, measure: bool = False) -> Observed:
        assert not measure
        return Observed(True, self._services)


def open_stack(topology: Topology, engine: object = None, runner: Runner | None = None) -> Stack:
    """The stack of `topology` on `engine`; without one, on one that nobody may ask."""
    asked = cast(Engine, engine or NoEngine())
    spec_file: Path = topology.layout.spec_file
    engines: Callable[..., Engine] = lambda *_: asked  # noqa: E731 - a name for its type
    return Stack(
        topology,
        asked,
        runner or SubprocessRunner(),
        spec_file.parent,
        templates(),
        engines,
    )


def stack_in(folder: Path, **sections: Any) -> Stack:
    """The stack of Redis and the app alone whose spec is written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "techsapo.yaml"
    file.write_text(yaml.safe_dump(only_redis(**{"engine": "native", **sections}), allow_unicode=True))
    return cli.open_stack(open_project(file))


def with_backup(stack: Stack, section: Backup) -> Stack:
    """The same stack, whose spec has `section` for its backups."""
    spec = stack.spec.model_copy(update={"backup": section})
    return replace(stack, topology=replace(stack.topology, spec=spec))
