"""Builds the concrete parts; the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Runner
    from techsapo_ops.engines.base import Engine
    from techsapo_ops.engines.native.standing import NativeStack
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.spec.load import LoadedSpec
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.topology import EngineName, Layout, Topology

STATE_DIRECTORY = ".techsapo"
OVERRIDES = "templates"


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded spec and the folder that it stands in."""

    path: Path
    loaded: LoadedSpec

    @property
    def directory(self) -> Path:
        """The folder of the spec; relative paths in the spec start here."""
        return self.path.parent

    @property
    def spec(self) -> Spec:
        """The spec with its overlay applied."""
        return self.loaded.spec

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / STATE_DIRECTORY

    @property
    def layout(self) -> Layout:
        """The stack's directories."""
        from techsapo_ops.spec.topology import Layout

        return Layout(
            state=self.state,
            config=self.state / "generated",
            spec=self.path,
            environment=self.loaded.environment,
        )

    @property
    def templates(self) -> Templates:
        """Templates, the project's own first."""
        from techsapo_ops.render.templates import Templates

        override = self.directory / OVERRIDES
        return Templates(override if override.is_dir() else None)


def read_secret_from(directory: Path) -> Callable[[str], str]:
    """A reader of secret files whose relative paths start at `directory`."""

    def read(path: str) -> str:
        return (directory / Path(path).expanduser()).read_text(encoding="utf-8")

    return read


def environment_variables(directory: Path) -> Mapping[str, str]:
    """The process environment over `.env` beside the spec."""
    dotenv = directory / ".env"
    if not dotenv.is_file():
        return os.environ
    from techsapo_ops.adapters.files import read_text
    from techsapo_ops.spec.dotenv import parse_dotenv

    return {**parse_dotenv(read_text(dotenv), filename=str(dotenv)), **os.environ}


def open_project(file: Path, environment: str | None = None, *, cross_check: bool = True) -> Project:
    """Load the spec at `file`. Raises OpsError when it is not there, SpecError when it is wrong.

    `cross_check=False` is for a rendered part of a spec: the defaults of what it leaves out may not agree
    with what it holds.
    """
    from techsapo_ops.spec.load import load

    if not file.is_file():
        raise OpsError(f"there is no spec at {file}", "`techsapo init` writes one, or name yours with --file")
    from techsapo_ops.adapters.files import read_text

    path = file.resolve()
    loaded = load(
        read_text(path, what="spec"),
        environment_variables(path.parent),
        read_secret_from(path.parent),
        filename=str(file),
        environment=environment,
        cross_check=cross_check,
    )
    return Project(path, loaded)


def topology_for(project: Project, engine: EngineName | None = None) -> Topology:
    """Resolve where everything of `project` runs on this host; `engine` overrides the spec's."""
    from techsapo_ops.adapters.host import gather
    from techsapo_ops.spec.topology import resolve

    chosen: EngineName = engine or ("compose" if project.spec.engine == "compose" else "native")
    host = gather(project.state, os.environ.get("PATH", ""))
    return resolve(project.spec, chosen, project.layout, host)


def runner() -> Runner:
    """The door to other programs."""
    from techsapo_ops.adapters.process import SubprocessRunner

    return SubprocessRunner()


def engine_for(project: Project, topology: Topology, *, seconds: float | None = None) -> Engine:
    """The engine that runs `topology`; `seconds` overrides how long a service may take to become ready.

    Raises OpsError for an engine that this version does not have.
    """
    if topology.engine != "native":
        raise OpsError(
            "this version starts stacks on the native engine only; Docker Compose is not there yet",
            "set `engine: native` or pass --engine native; the compose files that `techsapo generate` writes "
            "run with `docker compose -f … up -d`",
        )
    from techsapo_ops.engines.native.engine import NativeEngine

    return NativeEngine(topology, runner(), project.spec, os.environ, seconds=seconds)


def standing_stack(file: Path) -> NativeStack:
    """The stack beside the spec `file`, as it was brought up last; the spec itself is not read."""
    from techsapo_ops.engines.native.standing import NativeStack
    from techsapo_ops.spec.layout import Layout

    state = file.resolve().parent / STATE_DIRECTORY
    return NativeStack(Layout(state=state, config=state / "generated"))
