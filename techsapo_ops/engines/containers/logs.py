"""Reads and follows the logs of containers, merged by the time that Docker gives each line."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from queue import SimpleQueue
from threading import Thread

from techsapo_ops.adapters.container_facts import ContainerFacts, docker_time
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import stream
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.observed import LogLine

Look = Callable[[], Mapping[str, ContainerFacts]]
"""Finds a stack's containers, by service. May raise OpsError."""
_AT_ONCE = 4
_AGAIN_SECONDS = 0.5
_PIECE = 4_096
"""Fewest characters of a line that Docker cuts, at 16 KB; its client writes the line's time where it did."""
START = datetime.fromtimestamp(0, UTC)
"""When lines without a time are taken to have been written."""


def lines(
    docker: Docker,
    look: Look,
    names: Sequence[str],
    *,
    follow: bool,
    lines: int | None,
    since: datetime | None,
) -> Iterator[LogLine]:
    """The last `lines` lines (None: all) of the services together, oldest first, from `since` on.

    `look` finds the containers. With `follow` it goes on for ever, also with the container that takes
    another one's place.
    """
    began = datetime.now(UTC)
    past_lines = past(docker, look, names, lines, since)
    return chain(past_lines, _followed(docker, look, names, began) if follow else ())


def _followed(docker: Docker, look: Look, names: Sequence[str], since: datetime) -> Iterator[LogLine]:
    lines: SimpleQueue[LogLine] = SimpleQueue()
    for name in names:
        # They end with the command, which is what ends a look that goes on for ever.
        Thread(target=_follow, args=(docker, look, name, since, lines), daemon=True).start()
    while True:
        yield lines.get()


def _follow(docker: Docker, look: Look, name: str, since: datetime, lines: SimpleQueue[LogLine]) -> None:
    ended = ""
    while True:
        container = None
        with suppress(OpsError):  # the daemon is away, or a machine: it is looked for again
            container = look().get(name)
        if container is not None and (container.running or container.id != ended):
            options = ("logs", "--follow", "--timestamps", "--since", since.isoformat(), container.id)
            for text in stream(docker.streaming(*options)):
                line = line_of(name, text)
                if line.time is not None:
                    if line.time <= since:
                        continue
                    since = line.time
                lines.put(line)
            ended = container.id
        time.sleep(_AGAIN_SECONDS)


def tail(docker: Docker, container: str, service: str, count: int) -> tuple[str, ...]:
    """The last `count` lines of one container's log."""
    return tuple(line.text for line in _of_container(docker, container, service, count, None))


def past(
    docker: Docker, look: Look, names: Sequence[str], count: int | None, since: datetime | None
) -> list[LogLine]:
    """The last `count` lines (None: all) of the services together, oldest first, from `since` on."""
    if count == 0:
        return []
    containers = look()
    wanted = [name for name in names if name in containers]
    asked = {name: partial(_of_container, docker, containers[name].id, name, count, since) for name in wanted}
    merged = list(heapq.merge(*each_of(asked, _AT_ONCE).values(), key=written_at))
    return merged if count is None else merged[max(len(merged) - count, 0) :]


def _of_container(
    docker: Docker, container: str, service: str, count: int | None, since: datetime | None
) -> list[LogLine]:
    options = ["--timestamps"]
    if count is not None:
        options += ["--tail", str(count)]
    if since is not None:
        options += ["--since", since.astimezone(UTC).isoformat()]
    done = docker.attempt("logs", *options, container)
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
