"""Reads and follows the logs of containers, merged by the time that Docker gives each line."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain
from typing import Protocol

from techsapo_ops.adapters.docker import ContainerFacts, Docker, docker_time
from techsapo_ops.adapters.process import stream
from techsapo_ops.stack.observed import LogLine

_AT_ONCE = 4
_AGAIN_SECONDS = 0.3
_ERASE = re.compile(r"^\x1b\[\dK")
"""Docker Compose erases its line before a container that it found later, also where no terminal is."""
_PIECE = 4_096
"""Fewest characters of a line that Docker cuts, at 16 KB; its client writes the line's time where it did."""
_START = datetime.fromtimestamp(0, UTC)


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


def lines(
    stack: Logged,
    names: Sequence[str],
    *,
    follow: bool,
    lines: int | None,
    since: datetime | None,
) -> Iterator[LogLine]:
    """The last `lines` lines (None: all) of the services together, oldest first, from `since` on.

    With `follow` it goes on for ever, over restarts; containers that are made later are followed too.
    """
    # Opened before the past is read: a line may then come twice, but none is lost in between.
    following = _follow(stack, names) if follow else iter(())
    return chain(past(stack, names, lines, since), following)


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
        merged = list(heapq.merge(*parts, key=_when))
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
    return list(heapq.merge(*streams, key=_when))


def _texts(data: bytes) -> list[str]:
    return data.decode(errors="replace").split("\n")[:-1]


def line_of(service: str, text: str) -> LogLine:
    """A line of a container's log, as `docker logs --timestamps` writes it."""
    stamp, _, rest = text.partition(" ")
    when = docker_time(stamp)
    if when is not None and len(text) > _PIECE:
        rest = rest.replace(f"{stamp} ", "")
    return LogLine(service, rest.rstrip("\r") if when is not None else text, when)


def _when(line: LogLine) -> datetime:
    return line.time or _START


def _follow(stack: Logged, names: Sequence[str]) -> Iterator[LogLine]:
    since = datetime.now(UTC)
    return _followed(stack, names, _stream(stack, names, since), since)


def _stream(stack: Logged, names: Sequence[str], since: datetime) -> Iterator[str]:
    """Docker Compose's own following, begun now; it ends when the containers do."""
    return stream(
        stack.docker.streaming(
            "compose", "--project-name", stack.project, "logs", "--follow", "--timestamps", "--no-color",
            "--since", since.isoformat(), *names,
        )
    )  # fmt: skip


def _followed(
    stack: Logged, names: Sequence[str], texts: Iterator[str], since: datetime
) -> Iterator[LogLine]:
    last: dict[str, datetime] = {}
    while True:
        before = dict(last)
        for text in texts:
            # `redis-1  | 2026-01-31T…Z the line`: the container's name without its project's.
            head, bar, rest = _ERASE.sub("", text).partition(" | ")
            if not bar:
                continue
            line = line_of(head.strip().rpartition("-")[0], rest)
            when = _when(line)
            if when > before.get(line.service, _START):
                last[line.service] = when
                yield line
        # All of them stopped, perhaps to start again.
        time.sleep(_AGAIN_SECONDS)
        texts = _stream(stack, names, max(last.values(), default=since))
