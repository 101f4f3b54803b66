"""Follows the logs of the containers of a Docker Compose project."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

from techsapo_ops.adapters.process import stream
from techsapo_ops.engines.containers.logs import START, Logged, line_of, past, written_at
from techsapo_ops.stack.observed import LogLine

_AGAIN_SECONDS = 0.3
_ERASE = re.compile(r"^\x1b\[\dK")
"""Docker Compose erases its line before a container that it found later, also where no terminal is."""


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
            when = written_at(line)
            if when > before.get(line.service, START):
                last[line.service] = when
                yield line
        # All of them stopped, perhaps to start again.
        time.sleep(_AGAIN_SECONDS)
        texts = _stream(stack, names, max(last.values(), default=since))
