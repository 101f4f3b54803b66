"""The swarm engine: services as global services of Docker Swarm, each bound to one machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.engines.at_work import share
from techsapo_ops.engines.containers.engine import (
    ContainerEngine,
    can_reload,
    discard,
    record_of,
    reload_container,
)
from techsapo_ops.engines.containers.engine import strangers as strangers_among
from techsapo_ops.engines.swarm import folders, front, images, nodes
from techsapo_ops.engines.swarm.access import HALTED, SwarmAccess
from techsapo_ops.engines.swarm.copies import aside, fetch_aside, keep_aside
from techsapo_ops.engines.swarm.deployment import Deployer, Deployment, mismatches, prune
from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.engines.swarm.nodes import require_network
from techsapo_ops.engines.swarm.recorded import by_service
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.engines.swarm.watch import Watch
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import before_steps, runtime_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.engine import Engine, Mismatch
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack_file import STACK_YML
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

NAMES_KEY = "swarm-names"
"""Key of the names of secrets, see Deployment."""


class SwarmEngine(SwarmAccess, ContainerEngine):
    """Runs `topology`; see stack.engine.Engine for what each method promises.

    `seconds` overrides how long a service may take to become ready; `tell` is told what takes minutes.
    """

    def __init__(
        self,
        topology: Topology,
        fleet: Fleet,
        *,
        seconds: float | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(topology, fleet)
        self._tell = tell
        self._watch = Watch(self, self.prober, seconds)
        self._deployer = Deployer(self)
        self._left_out: Mapping[str, str] | None = None  # on the way back: who can't, and why

    @override
    def plan(self, desired: Desired, observed: Observed, only: Sequence[str] = ()) -> Plan:
        return front.plan(self, desired, observed, only)

    @override
    def begin_back(self) -> Mapping[str, str]:
        self.forget()
        self.glance()
        self._left_out = dict(self.fleet.unreachable)
        self.fleet.require_quorum()
        return self._left_out

    @override
    def announce(self) -> None:
        self.glance()
        nodes.require_all(self.fleet)
        there = nodes.nodes_of(self.fleet.manager)
        nodes.require_members(there, self.topology.machines)
        nodes.require_active(there, self.topology.machines)
        note_machines(self.layout.state, self.project, self.topology.machines)

    @override
    def brought_up(self) -> None:
        return  # it is noted on which machines

    @override
    def share(self) -> None:
        share(self.layout, self.project, self.topology.machines, self.fleet.runner)

    @override
    def prepare(self, desired: Desired) -> None:
        """Folders, keys, images and labels; the files of `desired` are written already.

        Raises OpsError where a machine can't be reached: an apply is of all of them. On the way back those
        that are lost are left out.
        """
        self._make_ready(desired)
        if not self._names_key.exists():
            write_atomic(self._names_key, secrets.token_bytes(32), 0o600)
        if self._left_out is None:
            self.announce()
        else:
            note_machines(self.layout.state, self.project, self.topology.machines)
        require_network(self.fleet, self.project, desired.topology.spec.swarm)
        known = self.glance().images
        before_steps(desired, self._door)
        folders.expect(desired.topology, self._deployment(desired).folders())
        # Databases are about to be made with these keys: who goes on in place of this command needs them.
        self.share()
        units = [unit for unit in desired.containers.values() if unit.image not in known]
        config, away = self.layout.config, self._left_out or {}
        images.bring(self.fleet.without(away), self.project, config, units, self._tell)
        self._write_folders(desired, away)
        # Last: where the stack runs, a label lets services of a new machine start at once.
        nodes.label(self.fleet, self.project, desired.topology.machines)

    @override
    def keep_aside(self, folder: Path) -> Mapping[str, str]:
        return keep_aside(self.fleet, self.project, folder)

    @override
    def fetch_aside(self, name: str, into: Path) -> bool:
        return fetch_aside(self.fleet, self.project, name, into)

    @override
    def forget_aside(self) -> None:
        aside(self.fleet, self.project).forget()

    @property
    def _names_key(self) -> Path:
        return self.layout.keys / NAMES_KEY

    def _deployment(self, desired: Desired) -> Deployment:
        return Deployment(desired, self._names_key.read_bytes())

    def _write_folders(self, desired: Desired, away: Collection[str] = ()) -> None:
        image = next(unit.image for name, unit in desired.containers.items() if self._is_app(name))
        wanted = self._deployment(desired).folders()
        folders.write(self.fleet, desired.topology, wanted, image, without=away)

    @override
    def deliver(self) -> Mapping[str, str]:
        """By the stack file that was rendered last, with the Python of the app's image that runs."""
        path = self.layout.config / STACK_YML
        containers = self.glance().containers
        image = next((c.reference for name, c in containers.items() if self._is_app(name)), None)
        if image is None or not path.exists() or not self._names_key.exists():
            return {}  # nothing was deployed yet, and `up` writes them before anything starts
        with suppress(OpsError):  # where no manager answers, it is as it was
            nodes.note_drained(self.layout, self.topology.machines, nodes.nodes_of(self.fleet.manager))
        stack = RenderedFile(STACK_YML, path.read_text(encoding="utf-8"))
        wanted = self._deployment(Desired(self.topology, (stack,), ())).folders()
        away = self.fleet.unreachable
        folders.write(self.fleet, self.topology, wanted, image, without=away)
        lack = folders.behind(self.topology, wanted) if away else ()
        return {name: why for name, why in away.items() if name in lack}

    def _is_app(self, name: str) -> bool:
        return any(s.name == name and kind_of(s).asks_others for s in self.topology.services)

    @override
    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        if step.action is not Action.NOTHING:
            check(self.layout.state)
        if desired is None:
            self._anew(step, say)
            return
        if step.action is not Action.NOTHING:
            self.forget()
        try:
            self._perform(step, desired, say, together)
        finally:
            if step.action is not Action.NOTHING:
                self.forget()

    def _perform(
        self, step: Step, desired: Desired, say: Callable[[str], None], together: Sequence[Step]
    ) -> None:
        name = step.service
        if step.action is Action.REMOVE:
            self._deployer.remove(name)
            self.state.drop(name)
            return
        unit = desired.containers[name]
        service = next(s for s in desired.topology.services if s.name == name)
        if step.action is Action.NOTHING:
            if not self._was_well(name):
                self._watch.until_ready(service)
            self._deployer.ready.add(name)
            return
        before, known = self.glance().containers.get(name), self.glance().images
        if step.action is Action.RELOAD and before is not None:
            self._write_folders(desired)
            reload_container(self.docker, before, service, self.topology)
            self._watch.until_ready(service)
            self.state.settle(name)
            return
        deployment = self._deployment(desired)
        wanted = deployment.definition(name)
        stale = before is not None and unit.image in known and known[unit.image] != before.image
        # A command that was cut short may have done it: then there is nothing to stop, and nobody to spare.
        anew = step.action is Action.RESTART or stale or before is None or before.definition != wanted
        if before is not None and anew:
            self.spare(service, say)
        self.state.put(replace(record_of(unit, service, desired), pending=True))
        self._deployer.deploy(step, together or (step,), desired, deployment)
        newer = ""
        if before is not None and before.definition == wanted and anew:
            newer = before.created
            self._deployer.again(name)
        say(msg("waiting for {service}", service=name))
        self._watch.until_ready(service, wanted, newer)
        self._deployer.ready.add(name)
        self._settle(service)
        self.state.settle(name)

    def _settle(self, service: Service) -> None:
        """What has to follow a start: the kind's own, and a note of the container."""
        facts = by_service(self._watch.seen())[service.name]
        self._settle_kind(service, facts)
        self._note(service.name, facts)

    def _anew(self, step: Step, say: Callable[[str], None]) -> None:
        """Restart a service as it was deployed last, or make it read its configuration again."""
        self.forget()
        service = next((s for s in self.topology.services if s.name == step.service), None)
        containers = self.containers()
        if service is None:
            raise unknown(msg("service"), step.service, list(containers))
        before = containers.get(service.name)
        if step.action is Action.RELOAD and can_reload(service) and before is not None:
            reload_container(self.docker, before, service, self.topology)
            self._watch.until_ready(service)
            return
        if before is not None and before.running:
            self.spare(service, say)
        record = self.state.load().get(service.name)
        if record is not None:
            self.state.put(replace(record, since=time.time()))
        self._deployer.again(service.name, "--constraint-rm", HALTED)
        self._watch.until_ready(service, None, before.created if before is not None else "")
        self._settle(service)

    @override
    def conclude(self, desired: Desired) -> None:
        prune(self.fleet, self.layout.state, self.project, self._deployment(desired).object_names())

    @override
    def prove(
        self, desired: Desired, services: Sequence[str], wait: float = 0.0, *, strangers: bool = False
    ) -> tuple[Mismatch, ...]:
        if not self._names_key.exists():  # nothing was deployed yet
            return tuple(Mismatch(name, msg("there is no container"), restart=True) for name in services)
        differing = mismatches(self, desired, self._deployment(desired), services)
        there = self.glance().containers.values() if strangers else ()
        return (*differing, *strangers_among(there, self.state.load()))

    @override
    def taken_by(self, host: str, port: int) -> str:
        """Nobody is looked for: the ports are of other machines, and Swarm says which one has no room."""
        return ""

    @override
    def holders(self) -> Mapping[int, str]:
        """Nobody is looked for, as in `taken_by`."""
        return {}

    @override
    def discard(self, images: Collection[str]) -> None:
        for member in self.fleet.members.values():
            discard(member, images)

    def hand_over(self, machine: str) -> tuple[str, ...]:
        """Let other machines' services take over from those here that lead; which could not, and why."""
        self.forget()
        containers = self.containers()
        refusals = ((s.name, self._hand_over(s)) for s in self.topology.on(machine) if s.name in containers)
        return tuple(f"{name}: {why}" for name, why in refusals if why)

    def _hand_over(self, service: Service) -> str:
        check(self.layout.state)
        return runtime_of(service).hand_over(self.topology, service, self._door)

    def spare(self, service: Service, say: Callable[[str], None]) -> None:
        """Let another one take over from `service`, which is about to be stopped; and say where none can."""
        if why := self._hand_over(service):
            say(
                msg("{service} is stopped without a handover, so its last writes may be lost: {why}",
                    service=service.name, why=why)
            )  # fmt: skip

    def forget_members(self) -> None:
        """Let every service forget members of its cluster that are on no machine of the stack any more."""
        check(self.layout.state)
        self.forget()
        for service in self.topology.services:
            runtime_of(service).forget_members(self.topology, service, self._door)

    def give_up(self, machine: str) -> tuple[str, ...]:
        """Somebody's word, for those that wait for what is on `machine`, that it is gone; what they say."""
        check(self.layout.state)
        self.forget()
        kinds = {service.kind: service for service in self.topology.services}
        notes = (runtime_of(each).give_up(self.topology, machine, self._door) for each in kinds.values())
        return tuple(words for words in notes if words)


def swarm_of(engine: Engine) -> SwarmEngine:
    """The engine of a stack on several machines. Raises OpsError for one of one host."""
    if not isinstance(engine, SwarmEngine):
        raise on_one_host()
    return engine


def on_one_host() -> OpsError:
    """What is said where several machines are needed."""
    return OpsError(
        msg("this stack is on one host"),
        msg(
            "docs/three-machines.md shows how to move the stack to three hosts, with `engine: swarm` and "
            "`hosts`"
        ),
        exit_code=2,
    )
