"""Reaches into the containers of a stack, and beside them.

And throwaway containers without a network: a backup is restored into one to see what it holds.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.files import let_read
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.containers.stack import ContainerStack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.runtime import SCRATCH, ThrowawayContainer, no_throwaway, runtime_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.engine import Access, GateError, Scratch
from techsapo_ops.stack.layout import SCRATCH_FOLDER
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_START_SECONDS = 90.0
_SHOWN_LINES = 20
_LABEL = "techsapo.scratch"


class ContainerAccess(ContainerStack, Access):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises."""

    python = "python"
    enters_as_root = True

    topology: Topology

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        return self.docker.entering(self._container(service)[1].id, command, user="0" if root else None)

    @override
    def tool(self, service: str, command: Command) -> Command:
        return self.enter(service, command)

    @override
    def reaches(self, service: str) -> bool:
        return service in self.containers()

    @override
    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        look = self.beside(service, Command(("test", "-e", file)), image_of=image_of)
        done = self.docker.runner.run(look)
        if done.code not in {0, 1}:
            raise OpsError(
                msg("cannot inspect the data of {service}: {output}", service=service, output=done.output)
            )
        return done.code == 0

    @override
    def scratch(
        self, service: str, *, seed: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Scratch]:
        target = self._service(service)
        if target is None:
            raise unknown(msg("service"), service, [s.name for s in self.topology.services])
        image = self.topology.spec.image_of(target.kind, target.facts.image)
        return scratch(target, image, self.topology, self._throwaway_docker(), seed)

    def _throwaway_docker(self) -> Docker:
        """The Docker of this computer, whose folders a throwaway container reads. Raises OpsError."""
        return self.docker

    @abstractmethod
    def _service(self, service: str) -> Service | None:
        """The service that a name means, or a kind that has one here; None for none."""

    @abstractmethod
    def _container(self, service: str) -> tuple[Service, ContainerFacts]:
        """The service that a name or a kind means, and its container. Raises OpsError where it has none."""


@contextmanager
def scratch(
    service: Service,
    image: str,
    topology: Topology,
    docker: Docker,
    seed: Callable[[Path], None] | None = None,
) -> Iterator[Scratch]:
    """A throwaway redis or mysql with a random password, or prometheus, gone after the block.

    `seed` puts files into its folder before it starts.

    It has no network at all: commands reach it by `Scratch.run`, inside its container, where `directory` of
    the host is `/scratch`. Containers of killed runs are removed first. Raises OpsError for other kinds,
    GateError when it does not come up.
    """
    build = runtime_of(service.kind).throwaway_container
    if build is None:
        raise no_throwaway(service.kind)
    parent = topology.layout.state / SCRATCH_FOLDER
    with opened(parent, make=0o755):
        pass
    _sweep(docker, parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.{service.kind}-", dir=parent))
    # The container's user must get in, but the folder is listed to nobody else's eyes.
    folder.chmod(0o711)
    name = f"techsapo-scratch-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if seed is not None:
            seed(folder)
            for seeded in folder.rglob("*"):
                let_read(seeded, [service.facts.uid])
        server = build(service, folder)
        docker.call(
            "run", "--detach", "--name", name, "--label", f"{_LABEL}={parent}", "--network", "none",
            "--pull", "never", "--user", str(service.facts.uid), "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges:true",
            *bind(folder, SCRATCH), *_options(server, service.facts.uid),
            image, *server.argv,
        )  # fmt: skip
        _wait(service.kind, name, docker, server)
        yield Scratch(
            Address("127.0.0.1", service.facts.port),
            folder,
            server.user,
            server.password,
            lambda command: docker.execute(name, command, timeout=3600.0),
            lambda command: docker.entering(name, command),
            name,
            lambda command: _typed(name, command),
        )
    finally:
        docker.attempt("rm", "--force", "--volumes", name)
        shutil.rmtree(folder)


def _typed(name: str, command: Command) -> str:
    variables = (f"-e {variable}={value}" for variable, value in command.env.items())
    return " ".join(("docker exec -it", *variables, name, *command.argv))


def bind(source: Path, target: str, *options: str) -> tuple[str, str]:
    """A mount of a folder of this host; its value is read as a line of CSV."""
    named = f"source={source}"
    if any(c in named for c in ',"'):
        named = '"' + named.replace('"', '""') + '"'
    return "--mount", ",".join(("type=bind", named, f"target={target}", *options))


def _sweep(docker: Docker, parent: Path) -> None:
    listed = docker.call("ps", "-a", "--filter", f"label={_LABEL}={parent}", "--format", "{{.Names}}")
    for name in listed.split():
        if not Path(f"/proc/{name.split('-')[2]}").exists():  # its maker was killed
            docker.attempt("rm", "--force", "--volumes", name)
    for stale in parent.glob("*.*"):
        if not Path(f"/proc/{stale.name.partition('.')[0]}").exists():
            shutil.rmtree(stale)


def _options(server: ThrowawayContainer, uid: int) -> Iterator[str]:
    """Of `docker run`, before the image."""
    if server.memory_folder:
        yield from ("--tmpfs", f"{server.memory_folder}:uid={uid},gid={uid},mode=0700")
        yield from ("--workdir", server.memory_folder)
    for source, target in server.blocks:
        yield from bind(source, target, "readonly")
    for variable in server.environment:
        yield from ("--env", variable)


def _wait(kind: str, name: str, docker: Docker, server: ThrowawayContainer) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        done = docker.execute(name, server.ready, timeout=30.0)
        if done.code == 0:
            return
        running = docker.attempt("inspect", "--format", "{{.State.Running}}", name).stdout.strip() == b"true"
        if not running or time.monotonic() > deadline:
            said = docker.attempt("logs", "--tail", str(_SHOWN_LINES), name).output
            lines = tuple(said.splitlines()[-_SHOWN_LINES:])
            quoted = "".join(f"\n  | {line}" for line in lines)
            why = msg("not ready: {output}", output=done.output) if running else msg("the container ended")
            raise GateError(
                kind,
                done.output,
                lines,
                msg("throwaway {kind} server: {why}{quoted}", kind=kind, why=why, quoted=quoted),
                "",
            )
        time.sleep(0.1)
