"""A native stack as it was recorded: seen, read, measured and stopped without its spec."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.build import is_other, noted
from techsapo_ops.adapters.held import replaced_files, works_in_removed
from techsapo_ops.adapters.strict_modes import user_name
from techsapo_ops.engines.native import logs
from techsapo_ops.engines.native.supervisor import Process, Supervisor, SupervisorGoneError, session
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import App
from techsapo_ops.stack.layout import BUILD_NOTE, SCHEDULER, Layout
from techsapo_ops.stack.observed import (
    FOLDER_GONE,
    LogLine,
    Observed,
    ObservedService,
    State,
    Usage,
    stopped_of,
)

if TYPE_CHECKING:
    import psutil

STOP_SECONDS = 10.0
"""A program's stop time where its configuration says none: supervisord's own default."""
STOP_MARGIN = 10.0
"""Seconds beyond a program's own stop time, at which supervisord kills it."""
SUPERVISOR = "supervisord"
_SAMPLE_SECONDS = 0.2


class NativeStack:
    """What can be done to a stack of the native engine with its state directory alone.

    So `ps`, `logs`, `monit` and `down` are quick, and work while the spec is broken or gone.
    """

    name = "native"
    at_once = 1

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.supervisor = Supervisor(layout.supervisor_socket)
        self.state = StateFile(layout.state)
        self._sampled: dict[int, psutil.Process] = {}

    @property
    def gone(self) -> str:
        """The supervisor."""
        return msg("the supervisor and its services are no longer running")

    @property
    def data_place(self) -> str:
        """The folder."""
        return msg("below {folder}", folder=self.layout.data)

    def away(self) -> Mapping[str, str]:
        """There is this host alone."""
        return {}

    def observe(self, *, measure: bool = False) -> Observed:
        """What exists now; what an earlier `up` started is listed also when it is gone."""
        seen = replace(self._observe(), stopped=stopped_of(self.layout))
        return seen.with_usage(self._usage(seen)) if measure else seen

    def _observe(self) -> Observed:
        records = self.state.load()
        try:
            processes = self.supervisor.processes()
        except SupervisorGoneError:
            return Observed(
                False, {name: _observed(record, None, [], datetime.now()) for name, record in records.items()}
            )
        ended = logs.exits(self.layout.logs / "supervisord.log")
        now = datetime.now()
        return Observed(
            True,
            {
                name: self._with_facts(
                    _observed(
                        record, processes.get(name), logs.exits_after(ended.get(name, []), record.since), now
                    )
                )
                for name, record in records.items()
            },
            self._supervisor_replaced(),
        )

    def _supervisor_replaced(self) -> Mapping[str, str]:
        pid = session(self.layout.run)
        words = _replaced(pid) if pid is not None else ""
        return {SUPERVISOR: words} if words else {}

    def _with_facts(self, seen: ObservedService) -> ObservedService:
        """With what the kernel and the process itself tell."""
        if seen.pid is None:
            return seen
        if works_in_removed(seen.pid):  # the note of its build is gone as well
            return replace(seen, drift=FOLDER_GONE, replaced=_replaced(seen.pid))
        return replace(self._with_build(seen), replaced=_replaced(seen.pid))

    def _with_build(self, seen: ObservedService) -> ObservedService:
        notes = {
            App.facts.kind: self.layout.data / seen.name / BUILD_NOTE,
            SCHEDULER: self.layout.scheduler_build,
        }
        if seen.kind not in notes or seen.pid is None:
            return seen
        running = noted(notes[seen.kind], seen.pid)
        return replace(seen, build=running, outdated=seen.state.runs and is_other(running))

    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """Stop every service after those that need it, then the supervisor.

        With `remove_data` the data, and the keys that were made for it, are deleted.
        """
        from techsapo_ops.engines.native import daemon

        records = self.state.load()
        try:
            stopped = self._stop_in_order(records)
        except OpsError:  # it does not answer, or could not end one: what is left is ended from here
            stopped = ()
        leftovers = daemon.shut_down(self.layout)
        self.state.clear()
        if remove_data:
            for folder in (self.layout.data, self.layout.keys, self.layout.textfiles):
                if folder.exists():
                    shutil.rmtree(folder)
        if leftovers and not stopped:
            return tuple(reversed(records)) or ("leftovers of a stack",)
        return stopped

    def _stop_in_order(self, records: Mapping[str, Record]) -> tuple[str, ...]:
        running = {
            name: records.get(name) for name, process in self.supervisor.processes().items() if process.pid
        }
        services = {name: record for name, record in running.items() if record is not None}
        stopped: list[str] = []
        left = dict(services)
        while left:
            needed = {need for record in left.values() for need in record.needs}
            free = [name for name in reversed(list(left)) if name not in needed] or list(left)
            for name in free:
                self.supervisor.begin_stop(name)
            for name in free:
                self.supervisor.stop(name, within=left[name].stop_seconds + STOP_MARGIN)
                del left[name]
            stopped += free
        # supervisord spends a second on each program that it knows when it shuts down.
        for name in self.supervisor.processes():
            self.supervisor.stop(name, within=STOP_SECONDS + STOP_MARGIN)
            self.supervisor.remove(name)
        return tuple(stopped)

    def logs(
        self,
        services: Sequence[str],
        *,
        follow: bool = False,
        lines: int | None = 100,
        since: datetime | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the services' logs (all: empty), merged by time."""
        names = self.log_names(services)
        # Opened before the past is read: a line may then come twice, but none is lost in between.
        following = logs.follow(self.layout.logs, names) if follow else ()
        return chain(logs.read(self.layout.logs, names, lines=lines, since=since), following)

    def log_names(self, services: Sequence[str]) -> list[str]:
        """Names with a log, for names or kinds. Raises OpsError for one that has none."""
        from techsapo_ops.engines.planning import named

        records = self.state.load()
        there = [p.name.removesuffix(".log") for p in sorted(self.layout.logs.glob("*.log"))]
        every = list(dict.fromkeys([*records, *(n for n in there if n != "supervisord")]))
        if not services:
            return [n for n in every if n in records] or every
        if not every:  # nothing was brought up: whatever is asked for has no log yet
            return []
        kinds = {name: record.kind for name, record in records.items()}
        return named(services, [*every, "supervisord"], kinds)

    def _usage(self, seen: Observed) -> Mapping[str, Usage]:
        """CPU since the last call (the first one measures for 0.2 s) and memory, with all child processes."""
        import psutil

        trees = {
            name: self._tree(service.pid)
            for name, service in seen.services.items()
            if service.pid is not None
        }
        if any(p.pid not in self._sampled for tree in trees.values() for p in tree):
            for tree in trees.values():
                for process in tree:
                    if process.pid not in self._sampled:
                        _cpu(process)
            time.sleep(_SAMPLE_SECONDS)
        result = {}
        for name, tree in trees.items():
            known = [self._sampled.get(p.pid, p) for p in tree]
            result[name] = Usage(sum(map(_cpu, known)), sum(map(_memory, known)))
            self._sampled.update({p.pid: p for p in known})
        alive = {p.pid for tree in trees.values() for p in tree}
        self._sampled = {
            pid: p for pid, p in self._sampled.items() if pid in alive and psutil.pid_exists(pid)
        }
        return result

    def _tree(self, pid: int) -> list[psutil.Process]:
        import psutil

        try:
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _cpu(process: psutil.Process) -> float:
    import psutil

    try:
        return float(process.cpu_percent(None))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def _memory(process: psutil.Process) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _replaced(pid: int) -> str:
    """What the process runs that an update has replaced, in words."""
    files = replaced_files(pid)
    more = msg(" and {count} more", count=len(files) - 1) if len(files) > 1 else ""
    return msg("still runs {files}{more} from before an update", files=files[0], more=more) if files else ""


def _observed(
    record: Record, process: Process | None, ended: list[datetime], now: datetime
) -> ObservedService:
    seen = replace(record.stopped, restarts=len(ended))
    if process is None:
        return seen
    looping = process.state.runs and logs.loops(ended, now)
    return replace(
        seen,
        state=State.BACKOFF if looping else process.state,
        pid=process.pid,
        started=process.started,
        exit_code=process.exit_code,
        user=(_user_of(process.pid) if process.pid else None) or record.user,
    )


def _user_of(pid: int) -> str | None:
    """The user that a process runs as, by its real uid; None where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"^Uid:\t(\d+)", status, re.MULTILINE)
    return user_name(int(match[1]), short=True) if match is not None else None
