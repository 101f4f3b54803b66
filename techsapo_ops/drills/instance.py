"""The loss of one instance of the app: that very process or container is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from techsapo_ops.engines.swarm.engine import swarm_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.stack.service import HERE, Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

MOST = 120.0
"""Seconds within which its engine has to start it again; then the drill does."""
_GIVEN = 30.0
"""Seconds for which the engine may start it alone where the drill was interrupted."""
_PROBE = 2.0


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
        return _unready(self.stack, (self.service, *self.others))

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
                Step(Action.RESTART, self.name, msg("left by a drill")).perform(self.stack.engine)
                return msg("{name} did not come back by itself: the drill started it", name=self.name)
            self.stack.pause(_PROBE / 10)
        return ""

    def missing(self) -> Sequence[str]:
        """Itself, until it is ready."""
        return tuple(_unready(self.stack, (self.service,)))

    def facts(self) -> dict[str, str]:
        """Which one it was."""
        return {"killed": f"{self.name} (weight {self.weight})"}


def busiest(stack: Stack) -> LostInstance:
    """The instance with the most traffic. Raises OpsError where the loss of one can't be made up for."""
    topology = stack.topology
    if not topology.has(Nginx.facts.kind):
        raise OpsError(
            msg("no nginx stands in front of the app: nobody would take over"),
            msg("`nginx: {{enabled: true}}`"),
        )
    spec = {i.port: i for i in stack.spec.app.resolved_instances}
    observed = stack.engine.observe().services
    apps = [s for s in topology.of_kind(App.facts.kind) if s.name in observed]
    apps = [s for s in apps if observed[s.name].state.runs]
    if len(apps) < 2:
        many = msg("1 instance of the app runs") if apps else msg("no instance of the app runs")
        raise OpsError(
            msg("{many}: users would be cut off", many=many),
            msg("run two or more (app.instances); `techsapo ps` shows those that there are"),
        )
    first = max(apps, key=lambda s: (not spec[s.port].backup, spec[s.port].weight))
    pid = observed[first.name].pid
    if not pid:
        raise OpsError(
            msg("the engine does not say which process {first} is", first=first.name), "`techsapo ps`"
        )
    kill, ended = _here(first, pid) if first.machine == HERE else _on_its_machine(stack, first)
    others = tuple(s for s in apps if s is not first)
    return LostInstance(stack, first, pid, spec[first.port].weight, others, kill, ended)


def _unready(stack: Stack, services: Sequence[Service]) -> Iterator[str]:
    return (msg("{name} is not ready", name=s.name) for s in services if not _ready(stack, s))


def _ready(stack: Stack, service: Service) -> bool:
    stack.engine.forget()  # on several machines a container is started again as another one
    return stack.engine.prober_inside()(service, _PROBE).ok


def _here(first: Service, pid: int) -> tuple[Callable[[], None], Callable[[], bool]]:
    """Of this very process: its number may be another's by the time that it is killed."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.Error as error:
        raise OpsError(
            msg("{first} (pid {pid}) can't be looked at: {error}", first=first.name, pid=pid, error=error),
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
                msg("{victim} (pid {pid}) is another user's", victim=first.name, pid=pid),
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
        msg("{victim} ended or started again by itself: nothing was killed", victim=first.name),
        msg("begin again"),
    )
