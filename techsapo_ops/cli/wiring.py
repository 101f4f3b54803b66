"""Builds the concrete parts; the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.adapters.docker import Docker
    from techsapo_ops.adapters.process import Runner
    from techsapo_ops.engines.choice import Choice, Image
    from techsapo_ops.engines.compose.facts import DockerFacts
    from techsapo_ops.engines.compose.recorded import ComposeStack
    from techsapo_ops.engines.native.recorded import NativeStack
    from techsapo_ops.health.check import Prober
    from techsapo_ops.operations.apply.history import History
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.spec.load import LoadedSpec
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.problems import Problem
    from techsapo_ops.spec.secret import Secret
    from techsapo_ops.stack.engine import Engine
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.places import EngineName
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.stack.template_folders import Overrides
    from techsapo_ops.stack.topology import Topology


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
        from techsapo_ops.stack.layout import Layout

        return Layout(
            state=self.state,
            config=self.state / "generated",
            spec=self.path,
            environment=self.loaded.environment,
        )

    def check(self, text: str) -> Spec:
        """The spec in `text`, which could take this one's place. Raises SpecError where it could not."""
        from techsapo_ops.spec.load import load

        loaded = load(
            text, environment_variables(self.directory), read_secret_from(self.directory),
            filename=self.path.name, environment=self.loaded.environment,
        )  # fmt: skip
        return loaded.spec

    @property
    def overrides(self) -> Overrides:
        """The folders of the project's own templates."""
        from techsapo_ops.cli.own_templates import overrides_of

        return overrides_of(self.directory, self.loaded)

    @property
    def templates(self) -> Templates:
        """Templates, the project's own first; used where their folder can't be, they raise SpecError."""
        from techsapo_ops.cli.own_templates import templates_of

        return templates_of(self.directory, self.loaded)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is to be known of the spec and of the project's own templates."""
        from techsapo_ops.cli.own_templates import template_warnings

        return (*self.loaded.warnings, *template_warnings(self.directory, self.loaded))


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


def require_trust(file: Path | None, *, others: Iterable[Path] = ()) -> None:
    """As root, see that nobody else can change the spec `file`, what is beside it, this program or `others`;
    with None for what is of no project.

    Before anything is read: a spec names files to read, a template decides what is written, and what is in
    the state directory is run. Raises UntrustedError, which says how to allow it; a few dozen lstat calls.
    """
    if os.geteuid() == 0:
        from techsapo_ops.operations.root_trust import require_trust as require

        require(file.resolve() if file is not None else None, others=[path.absolute() for path in others])


def open_project(
    file: Path, environment: str | None = None, *, cross_check: bool = True, trusted: bool = True
) -> Project:
    """Load the spec at `file`.

    Raises OpsError when it is not there, UntrustedError where root must not use it, SpecError when it is
    wrong.

    `cross_check=False` is for a rendered part of a spec: the defaults of what it leaves out may not agree
    with what it holds. `trusted=False` is for who sees by other means that root may use it.
    """
    from techsapo_ops.spec.load import load

    if not file.is_file():
        raise OpsError(f"there is no spec at {file}", "`techsapo init` writes one, or name yours with --file")
    if trusted:
        require_trust(file)
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
    if trusted:
        from techsapo_ops.cli.own_templates import require_trusted_folder

        require_trusted_folder(path.parent, loaded)
    return Project(path, loaded)


def topology_for(project: Project, engine: EngineName | None = None) -> Topology:
    """Resolve where everything of `project` runs on this host; `engine` overrides the spec's."""
    return choose_engine(project, engine)[0]


def choose_engine(project: Project, engine: EngineName | None = None) -> tuple[Topology, Choice]:
    """As topology_for, with the engine that was chosen and why."""
    from techsapo_ops.adapters.host import gather
    from techsapo_ops.engines import choice
    from techsapo_ops.services.registry import binary_names, resolve, service_users
    from techsapo_ops.stack.places import places_of

    socket = project.spec.schedule.docker_socket
    host = gather(
        project.state,
        os.environ.get("PATH", ""),
        binary_names(),
        service_users(),
        Path(socket) if socket is not None else None,
    )
    chosen = choice.told(project.spec, project.layout, engine)
    if chosen is None:
        compose = resolve(project.spec, places_of("compose"), project.layout, host)
        wanted = _images(project, compose) if "docker" in host.binaries else ()
        chosen = choice.find_out(wanted, host.binaries, runner())
        if chosen.engine == "compose":
            return compose, chosen
    return resolve(project.spec, places_of(chosen.engine), project.layout, host), chosen


def _images(project: Project, topology: Topology) -> tuple[Image, ...]:
    from techsapo_ops.engines.choice import images_of
    from techsapo_ops.render.compose import compose_files, container_units
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.services.registry import kind_of

    kinds = {service.name: kind_of(service) for service in topology.services}
    # Before a restore the folder of templates may not be there yet; whoever renders says so.
    templates = Templates() if project.overrides.missing else project.templates
    files = compose_files(topology, templates, ())
    return images_of(container_units(topology, files), lambda name: kinds[name].built_from(project.spec))


def docker_facts_for(project: Project, topology: Topology) -> DockerFacts | None:
    """What Docker offers to a stack of the compose engine; None for another engine."""
    if topology.engine == "native":
        return None
    from techsapo_ops.engines.compose.facts import DockerFacts, docker_facts
    from techsapo_ops.engines.compose.recorded import ComposeStack

    if "docker" not in topology.host.binaries:
        return DockerFacts()
    stack = ComposeStack(project.layout, project.spec.project, docker_for(topology))
    return docker_facts(stack, _images(project, topology))


def docker_for(topology: Topology) -> Docker:
    """The docker client of this host."""
    from techsapo_ops.adapters.docker import Docker

    found = topology.host.binaries.get("docker", "docker")
    # That of an earlier apply is where it was then, on the host; the scheduler's container has its own.
    return Docker(runner(), found if Path(found).exists() else "docker")


def api_key() -> Secret | None:
    """The API key that TECHSAPO_API_KEY holds, if any. Raises OpsError for what no header can carry."""
    from techsapo_ops.spec.secret import Secret

    value = os.environ.get("TECHSAPO_API_KEY", "").strip()
    if not (value.isascii() and value.isprintable()):
        raise OpsError(
            "TECHSAPO_API_KEY holds characters that no API key has",
            "set it to the key as `techsapo keys create NAME` showed it",
            exit_code=2,
        )
    return Secret(value) if value else None


def runner() -> Runner:
    """The door to other programs."""
    from techsapo_ops.adapters.process import SubprocessRunner

    return SubprocessRunner()


def _tell_nobody(_: str) -> None:
    pass


def engine_for(
    project: Project,
    topology: Topology,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Engine:
    """The engine that runs `topology`; `seconds` overrides how long a service may take to become ready.

    `tell` is told of work that takes minutes, such as the build of an image.
    """
    return engine_on(project.spec, topology, seconds=seconds, tell=tell)


def engine_on(
    spec: Spec,
    topology: Topology,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Engine:
    """As engine_for, for a spec that stands in no project, such as the one of an earlier apply."""
    if topology.engine == "compose":
        from techsapo_ops.engines.compose.engine import ComposeEngine

        return ComposeEngine(topology, docker_for(topology), seconds=seconds, tell=tell)
    from techsapo_ops.engines.native.engine import NativeEngine

    return NativeEngine(topology, runner(), os.environ, seconds=seconds)


def open_stack(
    project: Project,
    engine: EngineName | None = None,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Stack:
    """The stack of `project` on this host; `engine` overrides the spec's.

    `seconds` overrides how long a service may take to become ready; `tell` hears of work that takes minutes.
    """
    return stack_on(project, topology_for(project, engine), seconds=seconds, tell=tell)


def stack_on(
    project: Project,
    topology: Topology,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Stack:
    """As open_stack, where its engine was chosen already."""
    from techsapo_ops.stack.stack import Stack

    return Stack(
        spec=project.spec,
        topology=topology,
        engine=engine_on(project.spec, topology, seconds=seconds, tell=tell),
        runner=runner(),
        directory=project.directory,
        templates=project.templates,
        engines=lambda spec, where: engine_on(spec, where, seconds=seconds),
        user=acting_user(),
        leaves=other_engine,
        check_spec=project.check,
    )


def private_prober(spec: Spec, topology: Topology) -> Prober | None:
    """Asks the services that are private to the stack; None for an engine that has none."""
    if topology.engine == "native":
        return None
    from techsapo_ops.adapters.probe import ProbeResult
    from techsapo_ops.engines.compose.engine import ComposeEngine

    engine = ComposeEngine(topology, docker_for(topology))
    try:
        containers = engine.containers()
    except OpsError as error:
        detail = error.message
        return lambda *_: ProbeResult(False, detail, 0.0)
    return lambda service, timeout: engine.prober.ask(service, timeout, containers)


def history_beside(file: Path, *, seconds: float | None = None) -> History:
    """What was applied to the stack beside the spec `file`, which is not read; otherwise as layout_beside.

    `seconds` overrides how long a service may take to become ready.
    """
    from techsapo_ops.operations.apply.history import History

    return History(
        layout_beside(file),
        lambda spec, topology: engine_on(spec, topology, seconds=seconds),
        other_engine,
        acting_user(),
    )


def acting_user() -> str:
    """Who is at work: with sudo, the person and not root."""
    import getpass

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no such user and none in the environment, as in many containers
        return f"uid {os.getuid()}"


def layout_beside(file: Path, *, trusted: bool = True) -> Layout:
    """The directories of the stack beside the spec `file`; the spec itself is not read.

    Raises UntrustedError where root must not use them; `trusted=False` is for who sees to that otherwise.
    """
    if trusted:
        require_trust(file)
    from techsapo_ops.stack.layout import Layout

    path = file.resolve()
    state = path.parent / STATE_DIRECTORY
    return Layout(state=state, config=state / "generated", spec=path)


def standing_stack(file: Path) -> NativeStack | ComposeStack:
    """The stack beside the spec `file`, as it was brought up last; the spec itself is not read.

    Where the notes of it are gone, containers that were made from that folder still tell of it. Raises
    UntrustedError where root must not use them.
    """
    require_trust(file)
    from techsapo_ops.engines.state import recorded_engine
    from techsapo_ops.stack.layout import Layout

    state = file.resolve().parent / STATE_DIRECTORY
    layout = Layout(state=state, config=state / "generated")
    stands = recorded_engine(state)
    name = stands.project if stands is not None and stands.engine == "compose" else None
    if stands is None:
        name = _orphaned_project(layout)
    if name is not None:
        from techsapo_ops.adapters.docker import Docker
        from techsapo_ops.engines.compose.recorded import ComposeStack

        return ComposeStack(layout, name, Docker(runner()))
    from techsapo_ops.engines.native.recorded import NativeStack

    return NativeStack(layout)


def other_engine(topology: Topology) -> NativeStack | ComposeStack | None:
    """The stack as another engine than the topology's brought it up, where that one still has it."""
    from techsapo_ops.engines.state import recorded_engine

    stands = recorded_engine(topology.layout.state)
    if stands is None or stands.engine == topology.engine:
        return None
    return standing_stack(topology.layout.spec_file)


def _orphaned_project(layout: Layout) -> str | None:
    """The compose project whose containers were made from this stack's files, if there are any."""
    import shutil

    if shutil.which("docker") is None:
        return None
    from techsapo_ops.adapters.docker import Docker

    try:
        containers = Docker(runner()).containers()
    except OpsError:  # no daemon, so no containers
        return None
    return next((c.project for c in containers if c.folder.is_relative_to(layout.config)), None)
