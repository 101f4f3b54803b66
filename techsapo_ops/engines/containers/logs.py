"""Reads the logs of containers, merged by the time that Docker gives each line."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol

from techsapo_ops.adapters.container_facts import ContainerFacts, docker_time
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.stack.observed import LogLine

_AT_ONCE = 4
_PIECE = 4_096
"""Fewest characters of a line that Docker cuts, at 16 KB; its client writes the line's time where it did."""
START = datetime.fromtimestamp(0, UTC)
"""When lines without a time are taken to have been written."""


class Logged(Protocol):
    """A stack whose containers have logs."""

    project: str

    @property
    def docker(self) -> Docker:
        """The client of the daemon that has them."""
        ...

    def containers(self) -> dict[str, ContainerFacts]:
        """Its containers by service."""
        ...


def tail(stack: Logged, container: str, service: str, count: int) -> tuple[str, ...]:
    """The last `count` lines of one container's log."""
    return tuple(line.text for line in _of_container(stack, container, service, count, None))


def past(stack: Logged, names: Sequence[str], count: int | None, since: datetime | None) -> list[LogLine]:
    """The last `count` lines (None: all) of the services together, oldest first, from `since` on."""
    if count == 0:
        return []
    containers = stack.containers()
    wanted = [name for name in names if name in containers]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = pool.map(lambda name: _of_container(stack, containers[name].id, name, count, since), wanted)
        merged = list(heapq.merge(*parts, key=written_at))
    return merged if count is None else merged[max(len(merged) - count, 0) :]


def _of_container(
    stack: Logged, container: str, service: str, count: int | None, since: datetime | None
) -> list[LogLine]:
    options = ["--timestamps"]
    if count is not None and since is None:
        options += ["--tail", str(count)]
    if since is not None:
        options += ["--since", since.astimezone(UTC).isoformat()]
    done = stack.docker.attempt("logs", *options, container)
    if done.code != 0:  # removed meanwhile
        return []
    # Two streams, each in order.
    streams = ((line_of(service, text) for text in _texts(s)) for s in (done.stdout, done.stderr))
    return list(heapq.merge(*streams, key=written_at))


def _texts(data: bytes) -> list[str]:
    return data.decode(errors="replace").split("\n")[:-1]


def line_of(service: str, text: str) -> LogLine:
    """A line of a container's log, as `docker logs --timestamps` writes it."""
    stamp, _, rest = text.partition(" ")
    when = docker_time(stamp)
    if when is not None and len(text) > _PIECE:
        rest = rest.replace(f"{stamp} ", "")
    return LogLine(service, rest.rstrip("\r") if when is not None else text, when)


def written_at(line: LogLine) -> datetime:
    """When a line was written; START where that is not known."""
    return line.time or START
