"""Makes containers and starts them: those of one step, or of all steps at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import without_progress
from techsapo_ops.adapters.held import is_free, port_holder
from techsapo_ops.adapters.process import Completed
from techsapo_ops.engines import planning
from techsapo_ops.engines.compose.access import ComposeAccess
from techsapo_ops.engines.compose.recorded import STOP_MARGIN
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.observed import stopped_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Step

_UP_SECONDS = 300.0
_NEED = "dependency failed to start"
"""Docker Compose's words where the last health check of what a service needs failed."""


class Starter:
    """Of `stack`; threads that start services at the same time share one. Every method may raise OpsError."""

    def __init__(self, stack: ComposeAccess) -> None:
        self._stack = stack
        self._made: set[str] = set()
        self._made_for: tuple[Step, ...] = ()
        self._making = threading.Lock()

    def make(self, together: Sequence[Step], desired: Desired) -> None:
        """Networks, volumes and containers, by one call for each file: once for all `together`.

        The starts of services at the same time would each make the stack's networks. What Docker Compose
        refuses to make is left to each service's own start, whose failure names it.
        """
        with self._making:
            if self._made_for == tuple(together):
                return
            self._made_for = tuple(together)
            wanted = {step.service for step in together if step.action is Action.CREATE}
            units = [unit for name, unit in desired.containers.items() if name in wanted]
            if units:
                self._stack.forget()
            for file in dict.fromkeys(unit.file for unit in units):
                names = [unit.service for unit in units if unit.file == file]
                options = ("create", "--no-build", "--pull", "never", *names)
                done = self._compose(file, options)
                if done.code == 0:
                    self._made.update(names)

    def start(
        self, action: Action, unit: ContainerUnit, service: Service, before: ContainerFacts | None
    ) -> None:
        """Start `service` by `action`; `before` is the container that it has, if any."""
        if before is not None and before.state == "paused":
            self._stack.docker.call("unpause", before.id)
            before = replace(before, state="running")  # and holds its ports, as it did all the while
        if before is not None and action is Action.RESTART:
            self.restart(before, service, unit.stop_seconds)
            return
        self._free_ports(service, before)
        if self._needs_stopped(service):
            done = self._start_alone(action, unit, service)
        elif before is not None and service.name in self._made:
            self._made.remove(service.name)
            done = self._stack.docker.attempt("start", before.id, timeout=_UP_SECONDS)
        else:
            # With what it needs, which stands already: Docker Compose's digest of a service that it started
            # alone is another one, and a plain `docker compose up` would then make every container anew.
            options = ["up", "--detach", "--no-build", "--pull", "never"]
            if action is Action.RECREATE:
                options.append("--force-recreate")
            options += _sooner(service)
            done = self._compose(unit.file, (*options, service.name), _UP_SECONDS + unit.stop_seconds)
            made = self._stack.containers().get(service.name) if _NEED in done.output else None
            if done.code != 0 and made is not None:
                # That is half a minute old, and "unhealthy" after a pause; the gate asked it a moment ago.
                done = self._stack.docker.attempt("start", made.id, timeout=_UP_SECONDS)
        if done.code != 0:
            raise OpsError(
                msg(
                    "Docker can't start {service}: {without_progress}",
                    service=service.name,
                    without_progress=without_progress(done.output),
                )
            )

    def restart(self, container: ContainerFacts, service: Service, stop_seconds: float) -> None:
        """Restart a container as it was made; it has `stop_seconds` to end."""
        options = _sooner(service)
        self._stack.docker.call("restart", *options, container.id, timeout=stop_seconds + STOP_MARGIN)

    def _needs_stopped(self, service: Service) -> bool:
        """Whether it needs what somebody has stopped, which `docker compose up` would start along with it."""
        needed = planning.select(self._stack.topology, [service.name])
        return not stopped_of(self._stack.layout).keys().isdisjoint(needed)

    def _start_alone(self, action: Action, unit: ContainerUnit, service: Service) -> Completed:
        """Make a container without starting what it needs, then start it."""
        options = ["create", "--no-build", "--pull", "never"]
        if action is Action.RECREATE:
            options.append("--force-recreate")
        done = self._compose(unit.file, (*options, service.name))
        if done.code != 0:
            return done
        made = self._stack.containers()[service.name]
        return self._stack.docker.attempt("start", made.id, timeout=_UP_SECONDS)

    def _compose(self, file: str, options: Sequence[str], seconds: float = _UP_SECONDS) -> Completed:
        stack = self._stack
        return stack.docker.compose(stack.project, stack.layout.config / file, options, timeout=seconds)

    def _free_ports(self, service: Service, before: ContainerFacts | None) -> None:
        own = {p.port for p in before.published} if before is not None and before.running else set()
        topology = self._stack.topology
        ports = kind_of(service).ports(topology, service) if topology.published(service) else ()
        wanted = [here for _, here in ports]
        host = listen_host(service.host)
        for port in wanted:
            if port in own or is_free(host, port):
                continue
            neighbour = next(
                (
                    c
                    for c in self._stack.containers().values()
                    if any(p.port == port for p in c.published) and c.running
                ),
                None,
            )
            if neighbour is None or neighbour.service == service.name:
                other = self._stack.docker.publisher(port)
                raise OpsError(
                    msg(
                        "{service} can't use port {port}: {port_holder} is listening on it",
                        service=service.name,
                        port=port,
                        port_holder=msg("the container {other}", other=other) if other else port_holder(port),
                    ),
                    msg(
                        "stop that {which}, or give the service another port in the spec",
                        which=msg("container") if other else msg("process"),
                    ),
                )
            # Two services changed ports: the one that still holds this one is started anew later in the plan.
            self._stack.docker.call("stop", neighbour.id, timeout=120)


def _sooner(service: Service) -> tuple[str, ...]:
    """The option that ends a container sooner where it is started again: its signal, then KILL.

    The daemon keeps the time, so that Ctrl-C here leaves nothing stopped. To clients of nginx a KILL is what
    TERM would be: all connections end. `up` applies it to what it needs as well, which stands already.
    """
    # The long name differs: --time, --timeout.
    seconds = kind_of(service).restart_seconds
    return ("-t", str(seconds)) if seconds is not None else ()
