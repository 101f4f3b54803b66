"""The faults that a drill injects: the loss of a whole host, or of one instance of the app."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from techsapo_ops.backup.kinds import registry as data_kinds
from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.engines.swarm.front import holders
from techsapo_ops.engines.swarm.nodes import nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.drain import needed, node_named
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.keepalived.kind import RUN
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.service import HERE, Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

_SECONDS = 30.0
_HOST_PROBE = 6.0
_LOOK_EVERY = 2.0
# keepalived says nothing any more, as with its host; one that is killed would leave the address there.
_DROP_ADDRESS = """
kill -STOP "$(cat {run}/vrrp.pid)"
ip -oneline address show | while read -r _ dev _ with _; do
  [ "$with" = "$1" ] && ip address delete "$with" dev "$dev"
done
true
"""


@dataclass(slots=True)
class LostHost:
    """All that the stack runs on the host `name`, for `seconds`; `front` had the address of the front.

    Nothing starts there meanwhile. No power cut: kernel, disk and Docker of the host go on. Root on it is not
    needed.
    """

    stack: Stack
    name: str
    seconds: int
    front: str
    alone: bool = False

    def before(self) -> Iterator[str]:
        """Hosts that do not answer, quorums that would be lost, and what is not ready already."""
        engine = self._looked()
        if engine.fleet.unreachable:
            yield from _away(engine)
        else:
            yield from needed(engine, nodes_of(engine.fleet.manager), self.name)
            yield from _unready(self.stack)

    def strike(self) -> None:
        """Kill all containers of the stack there at once, and let Swarm start none.

        Raises OpsError where its Docker does not answer, or no Swarm manager does.
        """
        engine = swarm_of(self.stack.engine)
        member, manager = engine.fleet.members[self.name], engine.fleet.manager
        node = node_named(nodes_of(manager), self.name)
        running = [c for c in member.stack_containers(engine.project, timeout=_SECONDS) if c.running]
        if not running:
            raise OpsError(
                msg("no service of the stack is running on host {host}", host=self.name),
                msg("run `techsapo up`"),
            )
        keepalived = next((c for c in running if c.service == f"keepalived-{self.name}"), None)
        address = engine.topology.spec.floating_address
        if keepalived is not None and address is not None:
            script = _DROP_ADDRESS.format(run=RUN)
            member.attempt("exec", keepalived.id, "/bin/sh", "-c", script, "drill", address, timeout=_SECONDS)
        member.call("kill", *(container.id for container in running), timeout=_SECONDS)
        manager.call("node", "update", "--availability", "drain", node.id)

    def over(self, passed: float) -> bool:
        """Whether its time is over."""
        return passed >= self.seconds

    def put_back(self) -> str:
        """Let Swarm start there again what belongs there. Raises OpsError where no manager answers."""
        engine = self._looked()
        node = node_named(nodes_of(engine.fleet.manager), self.name)
        engine.fleet.manager.call("node", "update", "--availability", "active", node.id)
        return ""

    def missing(self) -> Sequence[str]:
        """What is not ready yet on any host."""
        self.stack.pause(_LOOK_EVERY)
        try:
            return tuple(_unready(self.stack))
        except OpsError as error:
            return (error.message,)

    def facts(self) -> dict[str, str]:
        """Which host it was, and where the address of the front went."""
        now = _front(self._looked())
        return {"killed": self.name, "address": self.front if now == self.front else f"{self.front} → {now}"}

    def _looked(self) -> SwarmEngine:
        """The engine, with its hosts as they are now."""
        engine = swarm_of(self.stack.engine)
        engine.forget()
        engine.containers()
        return engine


def chosen(stack: Stack, host: str | None, seconds: int) -> LostHost:
    """The host of that name; without, the one that has the front's address, or the first.

    Raises OpsError for a stack of one host, a host that it has not, one that does not answer, and a stack
    that does not run.
    """
    engine = swarm_of(stack.engine)
    names = [machine.name for machine in engine.topology.machines]
    if host is not None and host not in names:
        raise unknown(msg("host"), host, names)
    observed = engine.observe()
    observed.require_known()
    if engine.fleet.unreachable:
        raise OpsError(
            msg("the drill was not started: {reasons}", reasons=joined("; ", tuple(_away(engine)))),
            msg("run {command}, then try again", command="`techsapo hosts check`"),
        )
    if not observed.running:
        raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))
    front = _front(engine)
    return LostHost(stack, host or (front if front != "-" else names[0]), seconds, front)


def _front(engine: SwarmEngine) -> str:
    """The host that has the front's address; "-" where none says so."""
    return next(iter(holders(engine.topology, engine.fleet, engine.containers())), "-")


def _away(engine: SwarmEngine) -> Iterator[str]:
    for name, why in engine.fleet.unreachable.items():
        yield msg("{machine} can't be reached: {why}", machine=name, why=why)


def _unready(stack: Stack) -> Iterator[str]:
    """Services that do not answer, then databases whose members do not see each other."""
    engine = swarm_of(stack.engine)
    engine.forget()
    ask, services = engine.prober_inside(), engine.topology.services

    def trouble(service: Service) -> str:
        probed = ask(service, _HOST_PROBE)
        return "" if probed.ok else probed.detail

    ready = True
    with ThreadPoolExecutor(8) as pool:
        for service, why in zip(services, pool.map(trouble, services), strict=True):
            if why:
                ready = False
                yield msg("{name} is not ready ({why})", name=service.name, why=why)
    if ready:
        for kind in data_kinds.kinds():
            yield from kind.missing(stack)


MOST = 120.0
"""Seconds within which its engine has to start it again; then the drill does."""
_GIVEN = 30.0
"""Seconds for which the engine may start it alone where the drill was interrupted."""
_INSTANCE_PROBE = 2.0


@dataclass(frozen=True, slots=True)
class LostInstance:
    """The instance `service`, process `pid` of its host; `others` answer meanwhile.

    `kill` raises OpsError where that process is gone or another one; `ended` is whether it has ended.
    """

    stack: Stack
    service: Service
    pid: int
    weight: int
    others: tuple[Service, ...]
    kill: Callable[[], None]
    ended: Callable[[], bool]
    alone: bool = True

    @property
    def name(self) -> str:
        """Its name in the stack."""
        return self.service.name

    def before(self) -> Iterator[str]:
        """Those that are not ready, itself too."""
        return _unready_of(self.stack, (self.service, *self.others))

    def strike(self) -> None:
        """Kill it."""
        self.kill()

    def over(self, passed: float) -> bool:
        """Whether another process of it is ready."""
        return passed >= MOST or (self.ended() and _ready(self.stack, self.service))

    def put_back(self) -> str:
        """Start it where its engine does not do so by itself."""
        until = time.monotonic() + _GIVEN
        while not _ready(self.stack, self.service):
            if time.monotonic() >= until:
                Step(Action.RESTART, self.name, msg("left down by a drill")).perform(self.stack.engine)
                return msg("{name} did not come back by itself, so the drill started it", name=self.name)
            self.stack.pause(_INSTANCE_PROBE / 10)
        return ""

    def missing(self) -> Sequence[str]:
        """Itself, until it is ready."""
        return tuple(_unready_of(self.stack, (self.service,)))

    def facts(self) -> dict[str, str]:
        """Which one it was."""
        return {"killed": f"{self.name} (weight {self.weight})"}


def busiest(stack: Stack) -> LostInstance:
    """The instance with the most traffic. Raises OpsError where the loss of one can't be made up for."""
    topology = stack.topology
    if not topology.has(Nginx.facts.kind):
        raise OpsError(
            msg("there is no nginx in front of the app, so no other instance would take over"),
            msg("set `nginx.enabled` to true, then `techsapo up`"),
        )
    spec = {i.port: i for i in stack.spec.app.resolved_instances}
    observed = stack.engine.observe().services
    apps = [s for s in topology.of_kind(App.facts.kind) if s.name in observed]
    apps = [s for s in apps if observed[s.name].state.runs]
    if len(apps) < 2:
        few = (
            msg("only 1 instance of the app is running") if apps else msg("no instance of the app is running")
        )
        raise OpsError(
            msg("{few}: users would be cut off", few=few),
            msg("run two or more instances (`app.instances`); `techsapo ps` shows the current ones"),
        )
    first = max(apps, key=lambda s: (not spec[s.port].backup, spec[s.port].weight))
    pid = observed[first.name].pid
    if not pid:
        raise OpsError(
            msg("the engine does not know the process of {first}", first=first.name), "`techsapo ps`"
        )
    kill, ended = _here(first, pid) if first.machine == HERE else _on_its_machine(stack, first)
    others = tuple(s for s in apps if s is not first)
    return LostInstance(stack, first, pid, spec[first.port].weight, others, kill, ended)


def _unready_of(stack: Stack, services: Sequence[Service]) -> Iterator[str]:
    return (msg("{name} is not ready", name=s.name) for s in services if not _ready(stack, s))


def _ready(stack: Stack, service: Service) -> bool:
    stack.engine.forget()  # on several machines a container is started again as another one
    return stack.engine.prober_inside()(service, _INSTANCE_PROBE).ok


def _here(first: Service, pid: int) -> tuple[Callable[[], None], Callable[[], bool]]:
    """Of this very process: its number may be another's by the time that it is killed."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.Error as error:
        raise OpsError(
            msg("{first} (pid {pid}) can't be inspected: {error}", first=first.name, pid=pid, error=error),
            "`techsapo ps`",
        ) from None

    def kill() -> None:
        try:
            process = psutil.Process(pid)
            if process.create_time() != created:
                raise _anew(first)
            process.kill()
        except psutil.AccessDenied:
            raise OpsError(
                msg("{victim} (pid {pid}) belongs to another user", victim=first.name, pid=pid),
                msg("run the drill as root, or as that user"),
            ) from None
        except psutil.NoSuchProcess:
            raise _anew(first) from None

    return kill, lambda: not psutil.pid_exists(pid)


def _on_its_machine(stack: Stack, first: Service) -> tuple[Callable[[], None], Callable[[], bool]]:
    """Of this very container: its process has a number of another host, where that means nothing here."""
    engine = swarm_of(stack.engine)

    def now() -> str:
        container = engine.containers().get(first.name)
        return container.id if container is not None and container.running else ""

    chosen = now()

    def kill() -> None:
        try:
            engine.docker.call("kill", chosen)
        except OpsError as error:
            if "No such container" in error.message or "is not running" in error.message:
                raise _anew(first) from None
            raise

    return kill, lambda: now() != chosen


def _anew(first: Service) -> OpsError:
    return OpsError(
        msg("{victim} exited or restarted on its own: nothing was killed", victim=first.name),
        msg("run the drill again"),
    )
