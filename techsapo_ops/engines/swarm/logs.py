"""Reads and follows the logs of containers on several machines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import stream
from techsapo_ops.engines.containers.logs import line_of, past
from techsapo_ops.engines.containers.stack import Glance
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.observed import LogLine

_AGAIN_SECONDS = 0.5


class Logged(Protocol):
    """A stack on several machines whose containers have logs."""

    project: str
    fleet: Fleet

    @property
    def docker(self) -> Docker:
        """The client of the daemons that have them."""
        ...

    def containers(self) -> dict[str, ContainerFacts]:
        """Its containers by service."""
        ...

    def glance(self) -> Glance:
        """The same, as they were a moment ago."""
        ...


def lines(
    stack: Logged, names: Sequence[str], *, follow: bool, lines: int | None, since: datetime | None
) -> Iterator[LogLine]:
    """The last `lines` lines (None: all) of the services together, oldest first, from `since` on.

    With `follow` it goes on for ever, also with the container that takes another one's place.
    """
    began = datetime.now(UTC)
    past_lines = past(stack, names, lines, since)
    return chain(past_lines, _followed(stack, names, began) if follow else ())


def _followed(stack: Logged, names: Sequence[str], since: datetime) -> Iterator[LogLine]:
    found: SimpleQueue[LogLine] = SimpleQueue()
    for name in names:
        # They end with the command, which is what ends a look that goes on for ever.
        Thread(target=_follow, args=(stack, name, since, found), daemon=True).start()
    while True:
        yield found.get()


def _follow(stack: Logged, name: str, since: datetime, found: SimpleQueue[LogLine]) -> None:
    while True:
        container = None
        with suppress(OpsError):  # a manager is away, or the machine: it is looked for again
            container = stack.glance().containers.get(name)
        if container is not None:
            options = ("logs", "--follow", "--timestamps", "--since", since.isoformat(), container.id)
            for text in stream(stack.fleet.streaming(*options)):
                line = line_of(name, text)
                if line.time is not None:
                    if line.time <= since:
                        continue
                    since = line.time
                found.put(line)
        time.sleep(_AGAIN_SECONDS)
