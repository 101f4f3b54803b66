"""Asks a container whether it is ready, and waits until it is, or says why it is not.

It is asked by its published port, or from inside the stack's networks. Redis, MariaDB and the exporters are
not reachable from the host, and are not to be: their images' own health checks are run in them. An image of
one static binary has none; the app's image, which is on every network and holds Python, asks those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command, TimedOut
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.probing import ask
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.service import HERE, Service
from techsapo_ops.stack.topology import Topology

_FETCH = (
    "import sys, urllib.request as r\n"
    "with r.urlopen(sys.argv[1], timeout=float(sys.argv[2])) as a: print('HTTP', a.status)"
)
_SHOWN = 300
SHOWN_LINES = 20
GIVE_UP_AFTER_RESTARTS = 3


def questions(topology: Topology) -> dict[str, Command]:
    """Commands that ask services with the login that the app has, by kind of service.

    The images' health checks have no password, and only see that something answers.
    """
    kinds = {service.kind: service for service in topology.services}
    asked = ((kind, runtime_of(service).question(topology)) for kind, service in kinds.items())
    return {kind: command for kind, command in asked if command is not None}


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks the services of one topology; `containers` gives those that were seen a moment ago.

    `questions` has the commands for kinds that are asked in another way than by their health check.
    """

    topology: Topology
    docker: Docker
    containers: Callable[[], Mapping[str, ContainerFacts]]
    questions: Mapping[str, Command] = field(default_factory=dict)

    def of_now(self) -> Callable[[Service, float], ProbeResult]:
        """Asks in the containers that there are when this is called. Raises nothing for what it finds."""
        try:
            known = self.containers()
        except OpsError as error:
            unknown = ProbeResult(False, error.message, 0.0)
            return lambda _, __: unknown
        return lambda service, timeout: self._with_role(service, timeout, known)

    def _with_role(
        self, service: Service, timeout: float, known: Mapping[str, ContainerFacts]
    ) -> ProbeResult:
        """As `ask`, and where it is one of a cluster, its role there in place of a mere yes."""
        answer = self.ask(service, timeout, known)
        runtime, left = runtime_of(service), timeout - answer.seconds
        if not answer.ok or left <= 0:
            return answer
        if (question := runtime.role_question(self.topology, service)) is None:
            return answer
        try:
            done = self.docker.execute(known[service.name].id, question, timeout=left)
        except OpsError:
            return answer  # it is ready, which is what was asked
        role = runtime.role(self.topology, done.stdout.decode(errors="replace"))
        return replace(answer, detail=role.words or answer.detail, wrong=role.wrong, sole=role.sole)

    def ask(self, service: Service, timeout: float, known: Mapping[str, ContainerFacts]) -> ProbeResult:
        """Whether `service` is ready, by the containers `known`. Raises nothing for what it finds."""
        machine = service.machine.name
        if machine in self.docker.unreachable:
            why = self.docker.unreachable[machine]
            return ProbeResult(False, msg("{machine} can't be reached: {why}", machine=machine, why=why), 0.0)
        container = known.get(service.name)
        if container is None:
            return ProbeResult(False, msg("there is no container"), 0.0)
        if not container.running:
            return ProbeResult(False, msg("the container is {state}", state=container.state), 0.0)
        # Whoever calls this need not reach the machines themselves.
        if self.topology.published(service) and service.machine == HERE:
            return ask(self.topology, service, timeout)
        return self._inside(service, container, known, timeout)

    def _inside(
        self, service: Service, container: ContainerFacts, known: Mapping[str, ContainerFacts], timeout: float
    ) -> ProbeResult:
        if service.kind in self.questions:
            return self._execute(container.id, self.questions[service.kind], timeout)
        facts = kind_of(service).container(self.topology, service)
        if check := facts.ready or facts.healthcheck or container.check:
            return self._execute(container.id, Command(check), timeout)
        # Several instances may run; any will do, on several machines that of its own: what a cut network does
        # to another one says nothing of it.
        near = (a for a in self.topology.services if a.machine == service.machine and kind_of(a).asks_others)
        asker = next((known[a.name] for a in near if a.name in known and known[a.name].running), None)
        if asker is None:
            return ProbeResult(
                True,
                msg("the process is running (there is no app instance from which to probe the service)"),
                0.0,
            )
        url = self.topology.address(service, Viewpoint.SERVICE).url(service.facts.probe.path)
        fetch = Command(("python", "-c", _FETCH, url, str(timeout)))
        return self._execute(asker.id, fetch, timeout)

    def _execute(self, container: str, command: Command, timeout: float) -> ProbeResult:
        """Ask by a command in a container; it passes where that ends with 0."""
        started = time.monotonic()
        try:
            done = self.docker.execute(container, command, timeout=timeout)
        except TimedOut:
            detail = msg("did not answer within {timeout:g} s", timeout=timeout)
            return ProbeResult(False, detail, time.monotonic() - started)
        except OpsError as error:
            return ProbeResult(False, error.message, time.monotonic() - started)
        said = done.output.splitlines()
        passes = done.code == 0
        silent = msg("the health check passes") if passes else msg("exit code {code}", code=done.code)
        shown = said[-1][:_SHOWN] if said else silent
        return ProbeResult(passes, shown, time.monotonic() - started)


def wait_ready(
    name: str,
    *,
    look: Callable[[], ContainerFacts | None],
    ask: Callable[[ContainerFacts, float], ProbeResult],
    lines: Callable[[], tuple[str, ...]],
    seconds: float,
) -> None:
    """Return once the service `name` answers and its process is the one that ran before it was asked.

    `look()` asks the daemon, `ask(facts, timeout)` the service; `lines()` is the end of its log.
    Docker's own health check first runs a second after the start; the same command, or the published port,
    is asked here at once. Raises GateError after `seconds`, or as soon as the process keeps ending, with the
    probe's answer and the last 20 lines of the log.
    """
    started = time.monotonic()
    first = look()
    before_restarts = first.restarts if first is not None else 0
    pause = 0.05
    facts = first
    while True:
        left = seconds - (time.monotonic() - started)
        over = facts is None or facts.state in {"exited", "dead"}
        if facts is not None and facts.restarts - before_restarts >= GIVE_UP_AFTER_RESTARTS:
            over = True
        result = ProbeResult(False, msg("not running"), 0.0)
        if facts is not None and facts.running:
            result = ask(facts, max(min(left, 5.0), 0.5))
            if result.ok:
                after = look()
                if after is not None and after.running and after.pid == facts.pid:
                    return
        if over or left <= 0:
            raise _failure(name, facts, result, time.monotonic() - started, lines())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
        facts = look()


def _failure(
    name: str, facts: ContainerFacts | None, result: ProbeResult, waited: float, lines: tuple[str, ...]
) -> GateError:
    if facts is None:
        why = msg("there is no container")
    elif not facts.running:
        why = msg(
            "the container is {state}, exit code {exit_code}", state=facts.state, exit_code=facts.exit_code
        )
        if facts.restarts:
            why += msg(", after {restarts} restarts", restarts=facts.restarts)
        if facts.error:
            why += f" ({facts.error})"
    elif facts.restarts >= GIVE_UP_AFTER_RESTARTS:
        why = msg(
            "the container exited {restarts} times in {waited:.0f} s", restarts=facts.restarts, waited=waited
        )
    else:
        why = msg("no answer within {waited:.0f} s", waited=waited)
    said = result.detail
    if facts is not None and facts.health == "unhealthy" and facts.said and facts.said not in said:
        said = msg("{said}; health check: {said2}", said=said, said2=facts.said[-500:])
    message = msg("{name} did not become ready, {why}; probe: {said}", name=name, why=why, said=said)
    if lines:
        quoted = "\n".join(f"  | {line}" for line in lines)
        message += msg("\nlast lines of its log:\n{quoted}", quoted=quoted)
    return GateError(name, said, lines, message, msg("`techsapo logs {name}` shows more", name=name))
