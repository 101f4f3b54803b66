"""The compose engine: services as containers of one Docker Compose project."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.files import let_read
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.engines import planning
from techsapo_ops.engines.compose.access import ComposeAccess
from techsapo_ops.engines.compose.starter import Starter
from techsapo_ops.engines.containers import gate
from techsapo_ops.engines.containers.engine import (
    ContainerEngine,
    bring_images,
    can_reload,
    difference,
    discard,
    record_of,
    reload_container,
)
from techsapo_ops.engines.containers.engine import strangers as strangers_among
from techsapo_ops.engines.containers.logs import tail
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts as facts_of_kinds
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import before_steps, runtime_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Mismatch
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.own_tls import own_tls
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack


COMPOSE_FILES = "docker/"
_HASH_SECONDS = 60.0


class ComposeEngine(ComposeAccess, ContainerEngine):
    """Runs `topology`; see stack.engine.Engine for what each method promises.

    `seconds` overrides how long a service may take to become ready; `tell` is told what takes minutes.
    """

    def __init__(
        self,
        topology: Topology,
        docker: Docker,
        *,
        seconds: float | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(topology, docker)
        self._seconds = seconds
        self._tell = tell
        self._starter = Starter(self)

    @override
    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        return planning.plan(desired, observed, only)

    @override
    def prepare(self, desired: Desired) -> None:
        """Folders, keys, who may read what, and the images; the files of `desired` are written already."""
        self._make_ready(desired)
        before_steps(desired, self._door)
        let_read_files(desired)
        known = self.glance().images
        units = [unit for unit in desired.containers.values() if unit.image not in known]
        bring_images(self.docker, self.project, self.layout.config, units, self._tell)

    @override
    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        if desired is None:
            self._anew(step)
            return
        if len(together) > 1:
            self._starter.make(together, desired)
        if step.action is not Action.NOTHING:
            self.forget()
        try:
            self._perform(step, desired, say)
        finally:
            if step.action is not Action.NOTHING:
                self.forget()

    def _perform(self, step: Step, desired: Desired, say: Callable[[str], None]) -> None:
        if step.action is Action.REMOVE:
            self._remove_service(step.service)
            return
        unit = desired.containers[step.service]
        service = next(s for s in desired.topology.services if s.name == step.service)
        if step.action is Action.NOTHING:
            if not self._was_well(service.name):
                self._gate(service)
            return
        record = record_of(unit, service, desired)
        before = self.containers().get(service.name)
        if step.action is Action.RELOAD and before is not None:
            old = self.state.load().get(service.name)
            if old is not None:
                record = replace(
                    record,
                    since=old.since,
                    container=old.container,
                    image=old.image,
                    definition=old.definition,
                )
            self.state.put(replace(record, pending=True))
            try:
                self._reload(service, before)
            except OpsError:
                if old is not None:
                    self.state.put(old)  # it runs on with what it had, and need not be made anew for that
                raise
        else:
            self.state.put(replace(record, pending=True))
            self._starter.start(step.action, unit, service, before)
        say(msg("waiting for {service}", service=service.name))
        self._gate(service)
        if step.action is not Action.RELOAD:
            self._settle(service, unit.service, self.containers())
        self.state.settle(service.name)

    def _settle(self, service: Service, name: str, containers: Mapping[str, ContainerFacts]) -> None:
        """What has to follow a start: the kind's own, who looks its address up, a note of the container."""
        facts = containers[name]
        self._settle_kind(service, facts)
        # A new container may have a new address.
        for other in self.topology.services:
            front = containers.get(other.name)
            if service.kind in kind_of(other).looks_up and front is not None and front.running:
                self._reload(other, front)
        self._note(name, facts)

    def _remove_service(self, name: str) -> None:
        container = self.containers().get(name)
        if container is not None:
            self.docker.call("stop", container.id, timeout=120)
            self.docker.call("rm", "--force", "--volumes", container.id)
        self.state.drop(name)

    def _gate(self, service: Service) -> None:
        known = self.containers()
        ids = [known[service.name].id] if service.name in known else []

        gatekeeper = replace(self.prober, questions={})

        begun = [known.get(service.name)]

        def look() -> ContainerFacts | None:
            return begun.pop() if begun else next(iter(self.docker.inspect(ids)), None)

        kind = kind_of(service)
        gate.wait_ready(
            service.name,
            look=look,
            # Without logins: the database gets its own only after it is up.
            ask=lambda facts, timeout: gatekeeper.ask(service, timeout, {**known, service.name: facts}),
            lines=lambda: self._tail(service.name),
            seconds=self._seconds or kind.container_deadline or kind.deadline,
        )

    def _tail(self, name: str) -> tuple[str, ...]:
        container = self.containers().get(name)
        return tail(self.docker, container.id, name, gate.SHOWN_LINES) if container is not None else ()

    def _anew(self, step: Step) -> None:
        """Restart a container as it was made last, or make it read its configuration again."""
        self.forget()
        wanted, container = self._existing(step.service)
        if step.action is Action.RELOAD and can_reload(wanted) and container.running:
            self._reload(wanted, container)
            self._gate(wanted)
            return
        record = self.state.load().get(wanted.name)
        stop_seconds = record.stop_seconds if record is not None else 30
        if record is not None:
            self.state.put(replace(record, since=time.time()))
        self._starter.restart(container, wanted, stop_seconds)
        self._gate(wanted)
        self._settle(wanted, wanted.name, self.containers())

    def _reload(self, service: Service, container: ContainerFacts) -> None:
        self.forget()
        let_read_keys(self.topology)
        reload_container(self.docker, container, service, self.topology)

    def _existing(self, service: str) -> tuple[Service, ContainerFacts]:
        containers = self.containers()
        wanted = next((s for s in self.topology.services if s.name == service), None)
        if service not in containers:
            raise unknown(msg("service"), service, list(containers))
        if wanted is None:
            raise OpsError(
                msg("{service} is no longer in the spec", service=service),
                msg("`techsapo up` removes the service"),
            )
        return wanted, containers[service]

    @override
    def prove(
        self, desired: Desired, services: Sequence[str], wait: float = 0.0, *, strangers: bool = False
    ) -> tuple[Mismatch, ...]:
        from techsapo_ops.engines.readback import with_loaded

        differing = with_loaded(mismatches(self, desired, services), desired, services, wait)
        if not strangers:
            return differing
        # One that never ran is what an `up` that was interrupted had made ready.
        there = (c for c in self.docker.containers(self.project) if c.state != "created")
        return (*differing, *strangers_among(there, self.state.load()))

    @override
    def discard(self, images: Collection[str]) -> None:
        discard(self.docker, images)


def let_read_files(desired: Desired) -> None:
    """Let each container's user read what it alone is to read: secrets, keys, the certificates' keys."""
    topology, catalogue = desired.topology, facts_of_kinds()
    for file in desired.files:
        path = topology.layout.config / file.path
        if file.path.startswith(COMPOSE_FILES) and file.owner is not None and file.mode & 0o044 == 0:
            let_read(path, [catalogue[file.owner].uid])
    let_read_keys(topology)


def let_read_keys(topology: Topology) -> None:
    """Let the users of containers read the keys that the tool made for them, also new ones."""
    readers: dict[Path, set[int]] = {}
    for service in topology.services:
        made = kind_of(service).made_secrets(topology).values()
        for path in (*made, *runtime_of(service).readable(topology)):
            readers.setdefault(path, set()).add(service.facts.uid)
        if (tls := own_tls(topology, service)) is not None:
            readers.setdefault(tls.key, set()).add(service.facts.uid)
    for path, uids in readers.items():
        if path.exists():
            let_read(path, uids)


def mismatches(stack: ComposeStack, desired: Desired, services: Sequence[str]) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from the compose files, by Docker and not by our own notes.

    Docker Compose labels a container with a digest of what it made it from, and tells the digest of what
    the file says now. Another version of it may make another digest of the same: then it proves nothing.
    """
    units = [unit for name, unit in desired.containers.items() if name in services]
    glance = stack.glance()
    containers = glance.containers
    files = sorted({unit.file for unit in units})
    parts = each_of({file: partial(_hashes, stack, file) for file in files}).values()
    hashes = {name: digest for part in parts for name, digest in part.items()}
    differences = {
        unit.service: difference(unit, containers.get(unit.service), glance.images) for unit in units
    }
    other = [n for n, what in differences.items() if not what and hashes.get(n) != containers[n].definition]
    version = stack.docker.compose_version() if other else None
    for name in other:
        if _version_number(containers[name].compose) == _version_number(version):
            differences[name] = msg("the container's settings differ from the compose file")
    return tuple(Mismatch(name, what, restart=True) for name, what in differences.items() if what)


def _version_number(version: str | None) -> str:
    """`2.26.1` of `v2.26.1` and of `2.26.1-4`: the plugin's own word and the label's differ in the rest."""
    match = re.search(r"\d+(\.\d+)*", version or "")
    return match[0] if match is not None else ""


def _hashes(stack: ComposeStack, file: str) -> dict[str, str]:
    done = stack.docker.compose(
        stack.project, stack.layout.config / file, ("config", "--hash", "*"), timeout=_HASH_SECONDS
    )
    if done.code != 0:
        raise OpsError(
            msg(
                "Docker Compose can't read {config}: {output}",
                config=stack.layout.config / file,
                output=done.output,
            )
        )
    lines = (line.split() for line in done.stdout.decode().splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}
