"""How the own stack and this host are: services, logs, health, memory, disk, load, clock, OOM kills."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.kernel_log import OomKill, oom_kills
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.adapters.resources import human, room
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Change, Fact, Line, Material, Subject
from techsapo_ops.incidents.readers.lines import Window, lines_of
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.investigate import JournaldLog
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.health.check import check

MOST_LINES = 20_000
"""Lines of all services together that are looked at, the newest."""
_HEALTH_SECONDS = 3.0
_CLOCK_SECONDS = 2.0
_ROOM = 0.10
_NOT_KNOWN = {PartStatus.ABSENT, PartStatus.UNTESTED, PartStatus.STARTING}


def services(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """What runs, and what was started or stopped in the window. Raises OpsError."""
    observed = stack.engine.observe()
    observed.require_known()
    facts, changes = [], []
    for name, seen in observed.services.items():
        facts.append(
            Fact(
                msg("service {name}", name=name),
                _words(seen),
                ok=seen.state.runs,
                service=name,
                host=seen.machine,
            )
        )
        if seen.started is not None and start <= seen.started <= end:
            text = msg("{name} was started", name=name)
            if seen.restarts:
                text = msg("{name} was restarted, {count} times by itself", name=name, count=seen.restarts)
            changes.append(Change(seen.started, "restart", text, _words(seen), name, seen.machine))
        if seen.oom:
            text = msg("a process of {name} was killed: its container had used up its memory", name=name)
            changes.append(Change(seen.started or end, "oom", text, service=name, host=seen.machine))
    for name, stopped in observed.stopped.items():
        text = msg("{name} was {stopped}", name=name, stopped=stopped)
        changes.append(Change(stopped.since, "restart", text, service=name))
    return Material(subject, start, end, changes=tuple(changes), facts=tuple(facts))


def _words(seen: ObservedService) -> str:
    state = str(seen.state)
    if seen.exit_code and not seen.state.runs:
        state = msg("{state}, exit code {code}", state=state, code=seen.exit_code)
    if seen.restarts and seen.state is not State.STOPPED:
        state = msg("{state}, ended by itself {count} times", state=state, count=seen.restarts)
    return state


def kernel(
    stack: Stack,
    subject: Subject,
    start: datetime,
    end: datetime,
    look: Callable[[], tuple[OomKill, ...]] = oom_kills,
) -> Material:
    """What the kernel killed in the window because memory was used up. Raises OpsError.

    A kill within the limit of a cgroup that is not known to be a service's is of that cgroup, as of a service
    of its own: it concerns nobody else.
    """
    names = {Path(s.binary).name: s.name for s in stack.topology.services if s.binary is not None}
    if stack.spec.investigate is not None:
        for service in stack.spec.investigate.services:
            names |= {log.unit: service.name for log in service.logs if isinstance(log, JournaldLog)}
    changes = []
    for kill in look():
        if start <= kill.at <= end + timedelta(seconds=1):
            why = msg("its memory limit was used up") if kill.limit else msg("the host was out of memory")
            text = msg("the kernel killed {name} (pid {pid}): {why}", name=kill.name, pid=kill.pid, why=why)
            unit = Path(kill.cgroup).name
            owner = names.get(unit) or names.get(kill.name) or (unit if kill.limit else "")
            changes.append(Change(kill.at, "oom", text, service=owner))
    return Material(subject, start, end, changes=tuple(changes))


def logs(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """Warnings and errors of the services, rotated files included. Raises OpsError."""
    by_service: dict[str, list[tuple[datetime | None, str, None]]] = {}
    for line in stack.engine.logs((), lines=MOST_LINES, since=start):
        by_service.setdefault(line.service, []).append((line.time, line.text, None))
    window = Window(start, end, subject.began)
    lines: list[Line] = []
    for name, texts in by_service.items():
        service = stack.topology.find(name)
        host = service.machine.name if service is not None else ""
        lines += lines_of(texts, window, service=name, host=host)
    return Material(subject, start, end, lines=tuple(sorted(lines, key=lambda line: line.at)))


def health(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """What `techsapo health` finds now. Raises OpsError."""
    report = check(stack, timeout=_HEALTH_SECONDS, now=datetime.now(UTC))
    return Material(subject, start, end, facts=tuple(map(_row, report.asked)))


def _row(part: HealthPart) -> Fact:
    ok = None if part.status in _NOT_KNOWN else not part.failing
    value = (
        msg("{status}: {detail}", status=part.status.value, detail=part.detail)
        if part.detail
        else part.status.value
    )
    return Fact(msg("health of {name}", name=part.name), value, ok, service=part.name)


def host(stack: Stack, subject: Subject, start: datetime, end: datetime) -> Material:
    """Room, memory, load and clock of this host now."""
    facts = (*_rooms(stack), *_memory(), _load(), *_clock(stack.runner))
    return Material(subject, start, end, facts=facts)


def _rooms(stack: Stack) -> Iterator[Fact]:
    for folder in (Path("/"), stack.layout.state):
        try:
            left = room(folder)
        except OSError as error:
            yield Fact(msg("room at {folder}", folder=folder), error.strerror or "", ok=False)
            continue
        share = min(left.free, left.free_inodes)
        value = msg(
            "{free} of {total} free ({share:.0%} of the space, {inodes:.0%} of the inodes)",
            free=human(left.free_bytes), total=human(left.total_bytes), share=left.free,
            inodes=left.free_inodes,
        )  # fmt: skip
        if left.read_only:
            value = msg("{value}; read-only", value=value)
        yield Fact(msg("room at {folder}", folder=folder), value, ok=share >= _ROOM and not left.read_only)


def _memory() -> Iterator[Fact]:
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    value = msg("{free} of {total} available", free=human(memory.available), total=human(memory.total))
    yield Fact(msg("memory"), value, ok=memory.available >= _ROOM * memory.total)
    if swap.total:
        value = msg("{used} of {total} used", used=human(swap.used), total=human(swap.total))
        yield Fact(msg("swap"), value)


def _load() -> Fact:
    one, five, fifteen = os.getloadavg()
    cores = os.cpu_count() or 1
    value = msg(
        "{one:.1f}, {five:.1f}, {fifteen:.1f} over 1, 5, 15 minutes on {cores} cores",
        one=one, five=five, fifteen=fifteen, cores=cores,
    )  # fmt: skip
    return Fact(msg("load"), value, ok=five <= 2 * cores)


def _clock(runner: Runner) -> Iterator[Fact]:
    """Whether something sets the clock, as timedated says; nothing where there is none."""
    command = Command(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    try:
        said = runner.run(command, timeout=_CLOCK_SECONDS).stdout.strip()
    except OpsError:
        return
    if said in {b"yes", b"no"}:
        right = said == b"yes"
        yield Fact(msg("clock"), msg("synchronised") if right else msg("not synchronised"), ok=right)
