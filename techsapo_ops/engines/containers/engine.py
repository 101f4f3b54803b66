"""What an engine of containers does alike on one host and on several."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.folders import keep_out_of_git, opened
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines import planning
from techsapo_ops.engines.containers.access import ContainerAccess
from techsapo_ops.engines.containers.gate import Prober, questions
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.engine import Engine, Mismatch
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_SETTLING_SECONDS = 120.0
"""For which what keeps a kind from its settling may pass."""
_PAUSE = 2.0


_BUILT = ("techsapo/app", "techsapo/keepalived")
"""Repositories of the images that are built here, and of no others."""
_PULL_SECONDS = 1800.0
_BUILD_SECONDS = 1800.0
_RELOAD_SECONDS = 30.0


class ContainerEngine(ContainerAccess, Engine):
    """Runs `topology`; see stack.engine.Engine for what each method promises."""

    @cached_property
    def prober(self) -> Prober:
        """Asks the services, with the app's login where they want one."""
        return Prober(self.topology, self.docker, lambda: self.glance().containers, questions(self.topology))

    @override
    def prober_inside(self) -> Callable[[Service, float], ProbeResult]:
        return self.prober.of_now()

    def _make_ready(self, desired: Desired) -> None:
        """The folders that are mounted into containers, and the secrets that they are given, made where the
        spec has none. Containers' users may pass through the folders, not write. Raises OpsError.
        """
        layout = self.layout
        for path in (layout.state, layout.config, layout.textfiles, layout.certs):
            with opened(path, make=0o777):
                pass
        with opened(layout.keys, make=0o711):
            pass
        keep_out_of_git(layout.state)
        for service in {each.kind: each for each in desired.topology.services}.values():
            runtime_of(service).make_keys(desired.topology)

    def _was_well(self, name: str) -> bool:
        """Whether Docker called the container healthy when the stack was observed, a moment ago."""
        seen = self._looks.last.containers.get(name) if self._looks.last is not None else None
        return seen is not None and seen.running and (seen.health == "healthy" or not seen.check)

    def _door(self, service: Service) -> Door | None:
        """The way to a service for its own client, in its container; None where that does not run."""
        container = self.glance().containers.get(service.name)
        if container is None or not container.running:
            return None
        return Door(self.docker.runner, lambda command: self.docker.entering(container.id, command))

    def _settle_kind(self, service: Service, container: ContainerFacts) -> None:
        """Do what the kind of `service` has to have done in a container that was started."""
        settling = runtime_of(service).settling(self.topology)
        if settling is None:
            return
        until = time.monotonic() + _SETTLING_SECONDS
        while True:
            done = self.docker.execute(container.id, settling.command, user="0")
            passes = any(words in done.output for words in settling.passes)
            if done.code == 0 or not passes or time.monotonic() > until:
                break
            time.sleep(_PAUSE)
        if done.code != 0:
            raise OpsError(
                msg("{trouble}: {output}", trouble=settling.trouble, output=done.output), settling.hint
            )

    def _note(self, name: str, container: ContainerFacts) -> None:
        """Note the container that was started for the service of that name."""
        noted = self.state.load()[name]
        self.state.put(
            replace(noted, container=container.id, image=container.image, definition=container.definition)
        )


def discard(docker: Docker, ids: Collection[str]) -> None:
    """Remove the images built here among `ids`; Docker keeps one that a container of whichever stack has."""
    built = {name: image for repository in _BUILT for name, image in docker.image_names(repository).items()}
    if names := [name for name, image in built.items() if image in ids]:
        docker.attempt("image", "rm", *names)


def record_of(unit: ContainerUnit, service: Service, desired: Desired) -> Record:
    """What is noted of a service that is started now."""
    return Record(
        name=service.name,
        kind=service.kind,
        host=service.machine.reached(service.host),
        port=service.port,
        user=str(service.facts.uid),
        needs=service.needs,
        stop_seconds=unit.stop_seconds,
        fingerprint=unit.fingerprint,
        config=unit.config_digest(desired.files),
        files=planning.file_digests(unit, desired.files),
        since=time.time(),
        machine=service.machine.name,
    )


def bring_images(
    docker: Docker, project: str, config: Path, units: Sequence[ContainerUnit], say: Callable[[str], None]
) -> None:
    """Build or pull the images that are not here. Raises OpsError with Docker's own words."""
    present = docker.image_ids(unit.image for unit in units)
    missing = {unit.image: unit for unit in units if unit.image not in present}
    for image, unit in missing.items():
        file = config / unit.file
        say(
            msg(
                "{which} the image {image}",
                which=msg("building") if unit.builds else msg("pulling"),
                image=image,
            )
        )
        if unit.builds:
            build_image(docker, project, file, unit.service, image)
            continue
        done = docker.attempt("pull", "--quiet", image, timeout=_PULL_SECONDS)
        if done.code != 0:
            raise _image_refused(msg("pull"), image, done)


def build_image(docker: Docker, project: str, file: Path, service: str, image: str) -> None:
    """Build the image of one service of a compose file. Raises OpsError with Docker's own words."""
    done = docker.compose(project, file, ("build", service), timeout=_BUILD_SECONDS)
    if done.code != 0:
        raise _image_refused(msg("build"), image, done)


def _image_refused(what: str, image: str, done: Completed) -> OpsError:
    said = _last_lines(done.output)
    gap = "\n" if "\n" in said else " "
    return OpsError(
        msg("cannot {what} {image}:{gap}{said}", what=what, image=image, gap=gap, said=said),
        msg("check the network; or, under `images:` in the spec, name an image that this host already has"),
    )


def _last_lines(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])


def can_reload(service: Service) -> bool:
    """Whether its container can be told; one that can't is restarted."""
    return kind_of(service).reloads_in_container


def reload_container(docker: Docker, container: ContainerFacts, service: Service, topology: Topology) -> None:
    """Tell `service` to load its configuration again. Raises OpsError where it refuses it.

    Not by `docker kill --signal HUP`: Docker notes any kill as a wish of the user's to have the container
    stopped, and then does not start it again when it ends by itself. A signal that is sent inside is none.
    """
    from techsapo_ops.engines.readback import reload_and_confirm

    command = Command(kind_of(service).reload_command)

    def tell() -> None:
        done = docker.execute(container.id, command, timeout=_RELOAD_SECONDS)
        if done.code != 0:
            raise OpsError(
                msg(
                    "{service} refuses its configuration: {output}",
                    service=service.name,
                    output=done.output[:1000],
                )
            )

    reload_and_confirm(topology, service, tell)


def difference(unit: ContainerUnit, container: ContainerFacts | None, present: Mapping[str, str]) -> str:
    """How a container differs from its unit in state or image, in words; "" where it does not.

    `present` has the image ids by reference. A tag may have moved to another image since.
    """
    if container is None:
        return msg("there is no container")
    if not container.running:
        return msg("the container is {state}", state=container.state)
    if container.reference.partition("@")[0] != unit.image.partition("@")[0]:
        return msg(
            "the container runs the image {reference} instead of {image}",
            reference=container.reference,
            image=unit.image,
        )
    if present.get(unit.image, container.image) != container.image:
        return msg("the image {image} has changed", image=unit.image)
    return ""


def strangers(containers: Iterable[ContainerFacts], started: Collection[str]) -> tuple[Mismatch, ...]:
    """One for each of `containers` that is of none of the services that were `started`."""
    return tuple(
        Mismatch(
            "",
            msg(
                "container {container} in this stack's Docker project was not started by `techsapo up` "
                "(image {reference})",
                container=container.name,
                reference=container.reference,
            ),
        )
        for container in containers
        if container.service not in started
    )
