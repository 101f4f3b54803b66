"""The drill of a failover: one instance of the app is killed, under simulated traffic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.drills.alone import alone, hindrance
from techsapo_ops.operations.drills.figures import Twice, counts_of, some, twice
from techsapo_ops.operations.drills.guards import Guards
from techsapo_ops.operations.drills.load import Load, Outcome
from techsapo_ops.operations.drills.report import Phase, Report
from techsapo_ops.operations.drills.traffic import Traffic
from techsapo_ops.operations.drills.victim import Victim, chosen
from techsapo_ops.operations.drills.written import written
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.services.probing import ask
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.maintenance import maintenance_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

QUIET = 3.0
"""Seconds of traffic before the fault, to compare with."""
AFTER = 3.0
"""Seconds of traffic after everything is back."""
MOST = 120.0
"""Seconds after which an instance that has not come back is started by the drill itself."""
ASKED_AGAIN = 20.0
"""Seconds for which nginx may pass over an instance that is back; it does so for 5 after a failure."""
_GIVEN = 30.0
"""Seconds for which the engine may start it by itself where the drill was stopped."""
SECONDS = QUIET + MOST + ASKED_AGAIN + AFTER + 30
"""For how long there has to be traffic."""
POLL = 0.05
PROBE_SECONDS = 2.0


@dataclass(slots=True)
class Fault:
    """What the drill has seen, as seconds since the traffic began."""

    killed: float | None = None
    gone: float | None = None
    back: float | None = None
    stopped: str = ""
    notes: list[str] = field(default_factory=list)


def failover_app(
    stack: Stack,
    begin: Callable[[float], Report],
    *,
    instance: str,
    load: Load,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Kill the busiest instance and see what users of `load` would notice. `begin` makes the report to fill
    in, of a drill that took so long. `instance` is the one that somebody has agreed to: no other is killed.

    No apply and no backup can begin meanwhile. Raises OpsError, before anything is touched, where a guard is
    against it. Afterwards, and whatever ends it, the instance runs again.
    """
    with alone(stack):
        victim = chosen(stack)
        if victim.name != instance:
            raise OpsError(
                msg(
                    "{victim} is the busiest one by now, not {instance}",
                    victim=victim.name,
                    instance=instance,
                ),
                msg("begin again"),
            )
        ready = _readiness(stack)
        guards = Guards(prometheus_of(stack), victim.others, ready, lambda: hindrance(stack))
        reasons = guards.before()
        if not ready(victim.name):
            reasons = (*reasons, msg("{victim} itself is not ready", victim=victim.name))
        if reasons:
            closed = maintenance_of(stack.layout) is not None
            look = "`techsapo maintenance off`" if closed else "`techsapo health`"
            raise OpsError(
                msg("the drill was not begun: {reasons}", reasons=joined("; ", reasons)),
                msg("{look}, then again", look=look),
            )
        fault = Fault()
        started = time.monotonic()
        with Traffic(load) as traffic:
            say(
                msg(
                    "traffic runs: {rate:g} requests a second, ids {prefix}…",
                    rate=load.rate,
                    prefix=load.prefix,
                )
            )
            try:
                _course(stack, victim, traffic, guards, fault, say)
            finally:
                if fault.killed is not None:
                    _bring_back(
                        stack, victim, ready, fault, min(_GIVEN, fault.killed + MOST - traffic.now()), say
                    )
        outcome = traffic.outcome()
        report = begin(time.monotonic() - started)
        return _filled(stack, report, victim, load, outcome, fault, guards)


def _readiness(stack: Stack) -> Callable[[str], bool]:
    topology = stack.topology
    services = {service.name: service for service in topology.services}
    isolated = any(not topology.published(s) for s in topology.of_kind(App.facts.kind))
    inside = stack.engine.prober_inside() if isolated and not topology.machines else None

    def ready(name: str) -> bool:
        service = services[name]
        if topology.machines:  # Swarm starts a container anew by another one
            from techsapo_ops.engines.swarm.engine import swarm_of

            engine = swarm_of(stack.engine)
            engine.forget()
            return engine.prober_inside()(service, PROBE_SECONDS).ok
        if inside is not None and not topology.published(service):
            return inside(service, PROBE_SECONDS).ok
        return ask(topology, service, PROBE_SECONDS).ok

    return ready


def _course(
    stack: Stack,
    victim: Victim,
    traffic: Traffic,
    guards: Guards,
    fault: Fault,
    say: Callable[[str], None],
) -> None:
    if _guarded(stack, traffic, guards, fault, lambda: traffic.now() >= QUIET):
        return
    ready = guards.ready
    guards.fault()
    fault.killed = traffic.now()
    victim.kill()
    say(msg("{victim} (pid {pid}) was killed", victim=victim.name, pid=victim.pid))
    over = threading.Event()
    watching = threading.Thread(
        target=_watch, args=(victim, ready, traffic, fault, over), name="drill watch", daemon=True
    )
    watching.start()
    try:
        until = fault.killed + MOST
        if _guarded(stack, traffic, guards, fault, lambda: fault.back is not None or traffic.now() >= until):
            return
        if fault.back is None:
            return
        say(
            msg(
                "{victim} is ready again after {back:.1f} s",
                victim=victim.name,
                back=fault.back - fault.killed,
            )
        )
        killed, again = fault.killed, fault.back + ASKED_AGAIN

        def asked() -> bool:
            found = traffic.outcome().instance_after(victim.name, killed)
            return found is not None or traffic.now() >= again

        if _guarded(stack, traffic, guards, fault, asked):
            return
        end = traffic.now() + AFTER
        _guarded(stack, traffic, guards, fault, lambda: traffic.now() >= end)
    finally:
        over.set()
        watching.join(PROBE_SECONDS + 1)


def _guarded(stack: Stack, traffic: Traffic, guards: Guards, fault: Fault, done: Callable[[], bool]) -> bool:
    """Wait until `done`; True where a guard, or the end of the traffic, came first."""
    while not done():
        why = guards.during()
        if not why and not traffic.running:
            why = msg("the simulated traffic ended")
        if why:
            fault.stopped = why
            return True
        stack.pause(POLL)
    return False


def _watch(
    victim: Victim, ready: Callable[[str], bool], traffic: Traffic, fault: Fault, over: threading.Event
) -> None:
    """Ask the killed instance until it is ready again, and note when it was gone, and when back."""
    while not over.is_set() and fault.back is None:
        well = ready(victim.name)
        if not well and fault.gone is None:
            fault.gone = traffic.now()
        if well and (fault.gone is not None or victim.ended()):
            fault.back = traffic.now()
        over.wait(POLL)


def _bring_back(
    stack: Stack,
    victim: Victim,
    ready: Callable[[str], bool],
    fault: Fault,
    within: float,
    say: Callable[[str], None],
) -> None:
    """Start the instance where its engine has not done so `within` seconds of now."""
    until = time.monotonic() + within
    while not ready(victim.name):
        if time.monotonic() >= until:
            say(msg("{victim} has not come back by itself; starting it", victim=victim.name))
            fault.notes.append(
                msg("{victim} did not come back by itself: the drill started it", victim=victim.name)
            )
            Step(Action.RESTART, victim.name, msg("left by a drill")).perform(stack.engine)
            return
        stack.pause(POLL)


def _filled(
    stack: Stack,
    report: Report,
    victim: Victim,
    load: Load,
    outcome: Outcome,
    fault: Fault,
    guards: Guards,
) -> Report:
    objectives = stack.spec.objectives
    killed = fault.killed
    phases: list[Phase] = []
    lost_writes: float | None = None
    again = Twice(outcome.doubled)
    notes = [*fault.notes, *filter(None, [guards.unwatched])]
    if killed is not None:
        gone = None if fault.gone is None else fault.gone - killed
        back = None if fault.back is None else fault.back - killed
        phases = [
            Phase("detection", gone),
            Phase("failover", outcome.settled_after(killed), seconds(objectives.failover)),
            Phase("recovery", back, seconds(objectives.service)),
            Phase("asked_again", outcome.instance_after(victim.name, killed)),
        ]
        rows = written(stack, load.prefix, outcome.written)
        lost_writes = len(rows.lost)
        again = twice(outcome, rows.doubled, killed)
        if rows.lost:
            notes.append(msg("without a row in the audit log: {some}", some=some(rows.lost)))
        notes += again.notes()
    marks = {} if killed is None else {"killed": killed}
    if fault.back is not None:
        marks["ready"] = fault.back
    return replace(
        report,
        phases=tuple(phases),
        counts=counts_of(outcome, lost_writes=lost_writes, twice=again),
        zero=("doubled", "lost_writes"),
        reasons=dict(outcome.failed),
        facts={"killed": f"{victim.name} (weight {victim.weight})", "run": load.run},
        alerts=tuple(guards.seen),
        notes=tuple(notes),
        stopped=fault.stopped,
        columns=tuple(outcome.seconds_of()),
        marks=marks,
    )
