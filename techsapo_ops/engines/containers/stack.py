"""A stack of containers as it was recorded, on one host or on several: seen without its spec."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import LogLine, Observed, ObservedService, State, Usage, stopped_of

if TYPE_CHECKING:
    from techsapo_ops.adapters.container_facts import ContainerFacts
    from techsapo_ops.adapters.docker import Docker

_GLANCE_SECONDS = 2.0
STATS = ("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}")
"""What asks Docker for what containers use, a line of JSON each."""

_STATES = {
    "running": State.RUNNING,
    "restarting": State.BACKOFF,
    "dead": State.CRASHED,
}
_SIZE = re.compile(r"([0-9.]+)\s*([kKMGT]?)(i?)B")
_UNITS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Glance:
    """Containers by service and image ids by reference, until a moment of the monotonic clock."""

    until: float
    containers: Mapping[str, ContainerFacts]
    images: Mapping[str, str]


class Looks:
    """The last look at a stack, for all who look at it by the same client."""

    def __init__(self) -> None:
        self.looking = threading.Lock()
        self.last: Glance | None = None
        self.changes = 0


class ContainerStack(ABC):
    """What can be done to a stack of containers with its state directory alone; see stack.engine.Recorded."""

    name: str
    at_once: int

    def __init__(self, layout: Layout, project: str, docker: Docker) -> None:
        self.layout = layout
        self.project = project
        self.docker = docker
        self.state = StateFile(layout.state, self.name, project)
        self._looks: Looks = docker.remembered.setdefault(project, Looks())

    @abstractmethod
    def containers(self) -> dict[str, ContainerFacts]:
        """The stack's containers by service. Raises OpsError."""

    def glance(self) -> Glance:
        """The containers as they were a moment ago; what this tool changes itself is looked at anew.

        One command looks at the whole stack three or four times, and each look is several calls of docker.
        What was looked at while another thread changed something is not kept.
        """
        with self._looks.looking:
            last, began = self._looks.last, time.monotonic()
            if last is not None and began <= last.until:
                return last
            changes, containers = self._looks.changes, self.containers()
            images = self.docker.image_ids(c.reference for c in containers.values())
            # From its end on, and for longer where a silent machine was waited for: nobody is to wait twice.
            ended = time.monotonic()
            waited = 2 * (ended - began) if self.docker.unreachable else 0.0
            glance = Glance(ended + max(_GLANCE_SECONDS, waited), containers, images)
            if changes == self._looks.changes:
                self._looks.last = glance
            return glance

    def forget(self) -> None:
        """Look anew the next time: something was changed."""
        self._looks.changes += 1
        self._looks.last = None

    @property
    def gone(self) -> str:
        """The containers."""
        return msg("no container of this stack is running")

    @property
    @abstractmethod
    def data_place(self) -> str:
        """Where its data is, in words."""

    def observe(self, *, measure: bool = False) -> Observed:
        """What exists now; what an earlier `up` started is listed also when it is gone."""
        seen = replace(self._observe(), stopped=stopped_of(self.layout))
        return seen.with_usage(self._usage()) if measure else seen

    def _observe(self) -> Observed:
        records = self.state.load()
        glance = self.glance()
        containers, present = glance.containers, glance.images
        services: dict[str, ObservedService] = {}
        for name, record in records.items():
            services[name] = observed(record, containers.get(name), present)
        for name, container in containers.items():
            if name not in records:
                unknown = observed(_unknown(name, container), container, present)
                services[name] = replace(unknown, drift=msg("not started by `techsapo up`"))
        return Observed(any(c.state in {"running", "restarting"} for c in containers.values()), services)

    def away(self) -> Mapping[str, str]:
        """The machines that can't be reached now, and why; of one host none."""
        return {}

    @abstractmethod
    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """Stop every service; `remove_data` as in stack.engine.Recorded. Raises OpsError."""

    def logs(
        self,
        services: Sequence[str],
        *,
        follow: bool = False,
        lines: int | None = 100,
        since: datetime | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the containers' logs (all: empty), merged by time."""
        from techsapo_ops.engines.containers import logs

        return logs.lines(
            self.docker,
            lambda: self.glance().containers,
            self.log_names(services),
            follow=follow,
            lines=lines,
            since=since,
        )

    def log_names(self, services: Sequence[str]) -> list[str]:
        """Names with a log, for names or kinds. Raises OpsError for one that has none."""
        from techsapo_ops.engines.planning import named

        records = self.state.load()
        every = list(dict.fromkeys([*records, *self.containers()]))
        kinds = {name: record.kind for name, record in records.items()}
        return named(services, every, kinds) if services and every else every

    def _usage(self) -> Mapping[str, Usage]:
        """CPU and memory per running container, as `docker stats` measures them over a second."""
        running = {c.id: name for name, c in self.glance().containers.items() if c.running}
        usage = {}
        for line in filter(None, self._stats(tuple(running)).splitlines()):
            entry = json.loads(line)
            cpu, memory = entry["CPUPerc"].rstrip("%"), entry["MemUsage"].partition("/")[0]
            if (name := running.get(entry["ID"])) is not None and cpu != "--":
                usage[name] = Usage(float(cpu), size_bytes(memory))
        return usage

    @abstractmethod
    def _stats(self, containers: Sequence[str]) -> str:
        """What `docker stats` says of these containers, by id, with STATS; nothing for none."""

    def _remove_own_files(self) -> None:
        """What the tool itself made for the data that is deleted."""
        for folder in (self.layout.keys, self.layout.textfiles):
            if folder.exists():
                shutil.rmtree(folder)


def size_bytes(text: str) -> int:
    """A size as `docker stats` writes it, such as `12.5MiB`, in bytes; 0 for anything else."""
    match = _SIZE.search(text)
    if match is None:
        return 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2]])


def _unknown(name: str, container: ContainerFacts) -> Record:
    kind = name.rpartition("-")[0] if name.rpartition("-")[2].isdigit() else name
    port = container.published[0].port if container.published else 0
    return Record(name, kind, "127.0.0.1", port, None, (), 10)


def observed(record: Record, container: ContainerFacts | None, present: Mapping[str, str]) -> ObservedService:
    """A service as its record and its container say; `present` are the image ids by reference."""
    seen = record.stopped
    if container is None:
        return replace(seen, gone=bool(record.container))
    state = _STATES.get(container.state, State.STOPPED)
    if state is State.RUNNING and container.health == "starting":
        state = State.STARTING
    return replace(
        seen,
        state=state,
        pid=container.pid,
        started=container.started,
        restarts=container.restarts,
        exit_code=container.exit_code,
        host=record.host if container.published else None,
        port=container.published[0].port if container.published else None,
        user=container.user or None,
        drift=_drift(record, container, present),
        replaced=_replaced(record, container, present),
        container=container.id,
        image=container.image,
        build=container.build,
        oom=container.oom,
    )


def _drift(record: Record, container: ContainerFacts, present: Mapping[str, str]) -> str:
    if record.pending or not record.container:
        return ""
    if container.id != record.container and container.definition != record.definition:
        return msg("the container was recreated outside techsapo, with different settings")
    return _replaced(record, container, present)


def _replaced(record: Record, container: ContainerFacts, present: Mapping[str, str]) -> str:
    newest = present.get(container.reference)
    if record.pending or not record.container or newest is None or newest == container.image:
        return ""
    return msg("the image {reference} has changed", reference=container.reference)
