"""The course of a drill on several machines: something is taken away under traffic, and put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.drills.alone import alone, hindrance
from techsapo_ops.operations.drills.cluster import faults, under_way
from techsapo_ops.operations.drills.cluster.plan import Taking, front_host
from techsapo_ops.operations.drills.cluster.under_way import UnderWay
from techsapo_ops.operations.drills.cluster.whole import led, missing
from techsapo_ops.operations.drills.cluster.writes import Writer
from techsapo_ops.operations.drills.failover import AFTER, QUIET
from techsapo_ops.operations.drills.guards import Guards
from techsapo_ops.operations.drills.load import Load
from techsapo_ops.operations.drills.traffic import Traffic
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

SETTLES = 10
"""Seconds for which traffic goes on at least where Swarm starts at once what was taken away."""
BACK = 300.0
"""Seconds after which what was taken away has to be back; a database may copy all that it has."""
PATIENCE = 15.0
"""Seconds for which Prometheus may be away where one of two was taken."""
POLL = 0.1
LOOK_EVERY = 2.0
LOOK_SECONDS = 4.0


@dataclass(slots=True)
class Seen:
    """What the drill has seen, as seconds since the traffic began."""

    struck: float | None = None
    returned: float | None = None
    """When it began to put back."""
    again: float | None = None
    """When a service that Swarm starts by itself was ready again."""
    back: float | None = None
    stopped: str = ""
    notes: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    cut_at: float | None = None


def seconds_of(taking: Taking) -> float:
    """For how long there has to be traffic."""
    return QUIET + taking.seconds + BACK + AFTER + 60


def course(
    stack: Stack, taking: Taking, load: Load, writers: Sequence[Writer], say: Callable[[str], None]
) -> tuple[Seen, Guards, Traffic]:
    """Take away what `taking` says and put it back, whatever ends the drill.

    Raises OpsError, before anything is touched, where something is missing already or anything is under way.
    After a kill in between, `finish` puts it back.
    """
    engine = swarm_of(stack.engine)
    with ExitStack() as held:
        held.enter_context(alone(stack))
        guards = Guards(prometheus_of(stack), (), lambda _: True, lambda: hindrance(stack), patience=PATIENCE)
        _refuse(stack, engine, taking, guards)
        seen = Seen()
        what = UnderWay(taking.drill, taking.host, taking.service, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        known = led(stack)
        before: Service | None = None if known is None else known[1].leader(stack)
        seen.facts["address"] = front_host(engine) or "-"
        traffic = held.enter_context(Traffic(load))
        say(
            msg("traffic runs: {rate:g} requests a second, ids {prefix}…", rate=load.rate, prefix=load.prefix)
        )
        if before is not None:
            for writer in writers:
                writer.begin(before)
        under_way.note_under_way(stack.layout, what)
        try:
            stack.engine.share()
            if not _guarded(stack, traffic, guards, seen, lambda: traffic.now() >= QUIET):
                _strike(engine, taking, guards, traffic, seen, say)
                least = traffic.now() + (taking.seconds or SETTLES)
                done = _away(stack, engine, taking, traffic, seen, least)
                _guarded(stack, traffic, guards, seen, done)
        finally:
            _back(stack, engine, what, traffic, seen, say)
        end = traffic.now() + AFTER
        while traffic.now() < end:
            stack.pause(POLL)
        _afterwards(stack, engine, taking, before, seen)
        traffic.end()
        return seen, guards, traffic


def finish(stack: Stack, say: Callable[[str], None]) -> UnderWay | None:
    """Put back what a drill that was killed has taken away, and wait for it; None where there is nothing.

    Raises OpsError naming what does not come back; it can be called again.
    """
    engine = swarm_of(stack.engine)
    with alone(stack):
        what = under_way.under_way(stack.layout)
        if what is None:
            engine.containers()
            engine.fleet.require_quorum()  # without one a note may be on the host that does not answer
            return None
        faults.put_back(engine, what)
        say(msg("waiting until nothing is missing"))
        began = time.monotonic()
        _wait_whole(stack, engine, lambda: time.monotonic() - began)
        under_way.forget(stack.layout)
        return what


def _refuse(stack: Stack, engine: SwarmEngine, taking: Taking, guards: Guards) -> None:
    left = under_way.under_way(stack.layout)
    if left is not None:
        raise OpsError(str(left), f"`{under_way.PUT_BACK}`")
    if reasons := (*missing(stack, engine, taking.host), *guards.before()):
        raise OpsError(
            msg("the drill was not begun: {reasons}", reasons=joined("; ", reasons)),
            msg("{look}, then again", look="`techsapo health`"),
        )


def _strike(
    engine: SwarmEngine,
    taking: Taking,
    guards: Guards,
    traffic: Traffic,
    seen: Seen,
    say: Callable[[str], None],
) -> None:
    guards.fault()
    if taking.drill == "partition":
        seen.struck = traffic.now() + faults.CUT_AFTER
        faults.cut_off(engine, taking.host, taking.seconds)
        seen.struck = traffic.now() + faults.CUT_AFTER
        say(
            msg(
                "{host} is cut off from the other hosts for {seconds} s",
                host=taking.host,
                seconds=taking.seconds,
            )
        )
        return

    def strikes() -> None:
        seen.struck = traffic.now()

    strikes()  # also where what follows fails half way
    if taking.service:
        faults.lose_service(engine, taking.service, strikes)
    else:
        faults.lose_host(engine, taking.host, strikes)
    say(msg("{what} was killed", what=taking.what))


def _guarded(stack: Stack, traffic: Traffic, guards: Guards, seen: Seen, done: Callable[[], bool]) -> bool:
    """Wait until `done`; True where a guard, or the end of the traffic, came first."""
    while not done():
        why = guards.during() or ("" if traffic.running else msg("the simulated traffic ended"))
        if why:
            seen.stopped = why
            return True
        stack.pause(POLL)
    return False


def _away(
    stack: Stack, engine: SwarmEngine, taking: Taking, traffic: Traffic, seen: Seen, least: float
) -> Callable[[], bool]:
    """Whether it was away for long enough: until `least`, and what Swarm starts anew until it is ready."""
    service = next((s for s in stack.topology.services if s.name == taking.service), None)
    looked = 0.0

    def done() -> bool:
        nonlocal looked
        now = traffic.now()
        if service is None:
            return now >= least
        if seen.again is None and now - looked >= LOOK_EVERY:
            looked = now
            engine.forget()
            if engine.prober_inside()(service, LOOK_SECONDS).ok:
                seen.again = traffic.now()
        return now >= least and (seen.again is not None or now >= least + BACK)

    return done


def _back(
    stack: Stack,
    engine: SwarmEngine,
    what: UnderWay,
    traffic: Traffic,
    seen: Seen,
    say: Callable[[str], None],
) -> None:
    """Put it back and wait for it; the note stays where that fails, or is interrupted."""
    if seen.struck is None:
        under_way.forget(stack.layout)
        return
    seen.returned = traffic.now()
    if what.drill == "partition":
        seen.cut_at = _cut_at(engine, what.host, say)
    say(msg("putting back what was taken away; waiting until nothing is missing"))
    faults.put_back(engine, what)
    began = seen.returned
    _wait_whole(stack, engine, lambda: traffic.now() - began)
    seen.back = traffic.now()
    under_way.forget(stack.layout)


def _wait_whole(stack: Stack, engine: SwarmEngine, took: Callable[[], float]) -> None:
    while True:
        try:
            reasons: tuple[str, ...] = missing(stack, engine)
        except OpsError as error:
            reasons = (error.message,)
        if not reasons:
            return
        if took() > BACK:
            raise OpsError(
                msg(
                    "not all is back after {seconds:.0f} s: {reasons}",
                    seconds=took(),
                    reasons="; ".join(reasons),
                ),
                msg(
                    "`techsapo health` says what is missing; `{command}` goes on", command=under_way.PUT_BACK
                ),
            )
        stack.pause(LOOK_EVERY)


def _afterwards(
    stack: Stack, engine: SwarmEngine, taking: Taking, before: Service | None, seen: Seen
) -> None:
    now = front_host(engine) or "-"
    if now != seen.facts["address"]:
        seen.facts["address"] += f" → {now}"
    seen.facts = {"taken": taking.what, **seen.facts}
    known = led(stack)
    if known is not None and before is not None:
        seen.facts[known[0]] = f"{before.name} → {known[1].leader(stack).name}"


def _cut_at(engine: SwarmEngine, host: str, say: Callable[[str], None]) -> float | None:
    """When it was cut off; None, and said, where that can't be told: the loss window is not known then."""
    try:
        return faults.cut_at(engine, host)
    except OpsError as error:
        say(msg("when {host} was cut off can't be told: {error}", host=host, error=error.message))
        return None
