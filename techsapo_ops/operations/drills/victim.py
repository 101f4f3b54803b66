"""Which instance of the app a drill kills, and killing that very process or container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psutil

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.stack.observed import ObservedService
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Victim:
    """The instance that is killed: `pid` as its host sees it.

    `kill` ends it, and raises OpsError where it is no longer what was chosen; `ended` is whether it has.
    """

    service: Service
    pid: int
    weight: int
    others: tuple[str, ...]
    kill: Callable[[], None]
    ended: Callable[[], bool]

    @property
    def name(self) -> str:
        """Its name in the stack."""
        return self.service.name


def chosen(stack: Stack) -> Victim:
    """The instance with the most traffic. Raises OpsError where the loss of one can't be made up for."""
    topology = stack.topology
    if not topology.has(Nginx.facts.kind):
        raise OpsError(
            msg("no nginx stands in front of the app: nobody would take over"),
            msg("`nginx: {{enabled: true}}`"),
        )
    spec = {i.port: i for i in stack.spec.app.resolved_instances}
    observed = stack.engine.observe().services
    apps = [s for s in topology.of_kind(App.facts.kind) if _runs(observed.get(s.name))]
    if len(apps) < 2:
        many = msg("1 instance of the app runs") if len(apps) == 1 else msg("no instance of the app runs")
        raise OpsError(
            msg("{many}: users would be cut off", many=many),
            msg("run two or more (app.instances); `techsapo ps` shows those that there are"),
        )
    ranked = sorted(apps, key=lambda s: (not spec[s.port].backup, spec[s.port].weight), reverse=True)
    first, pid = ranked[0], observed[ranked[0].name].pid
    if not pid:
        raise OpsError(
            msg("the engine does not say which process {first} is", first=first.name), "`techsapo ps`"
        )
    kill, ended = _on_its_machine(stack, first) if topology.machines else _here(first, pid)
    others = tuple(s.name for s in apps if s is not first)
    return Victim(first, pid, spec[first.port].weight, others, kill, ended)


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
            raise OpsError(
                msg("{victim} ended by itself: nothing was killed", victim=first.name), "`techsapo ps`"
            ) from None

    return kill, lambda: not psutil.pid_exists(pid)


def _on_its_machine(stack: Stack, first: Service) -> tuple[Callable[[], None], Callable[[], bool]]:
    """Of this very container: its process has a number of another host, where that means nothing here."""
    from techsapo_ops.engines.swarm.engine import swarm_of

    engine = swarm_of(stack.engine)

    def now() -> str:
        container = engine.containers().get(first.name)
        return container.id if container is not None and container.running else ""

    chosen_one = now()

    def kill() -> None:
        try:
            engine.docker.call("kill", chosen_one)
        except OpsError as error:
            if "No such container" in error.message or "is not running" in error.message:
                raise _anew(first) from None
            raise

    return kill, lambda: now() != chosen_one


def _anew(first: Service) -> OpsError:
    return OpsError(
        msg("{victim} has started anew by itself: nothing was killed", victim=first.name), msg("begin again")
    )


def _runs(seen: ObservedService | None) -> bool:
    return seen is not None and seen.state.runs
