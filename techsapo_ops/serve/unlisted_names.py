"""Names that clients asked for and that the spec does not list: what `techsapo doctor` tells of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError

log = structlog.get_logger()

UNLISTED = "unlisted-hosts.json"
"""The file of them in an instance's folder."""
MOST = 32
"""Names that are kept; a stranger can send any number. The one that was asked for least makes room."""
WRITE_EVERY = 60.0
"""Seconds between two writes, whatever is asked for; what a kill -9 loses at most."""


@dataclass(slots=True)
class Unlisted:
    """A name, how often it was asked for, and on which day (UTC) last."""

    name: str
    requests: int
    last_seen: str


class UnlistedNames:
    """Names by how often they were asked for, kept in `file` over restarts. `clock` tells the time.

    Those that `listed` knows by now are forgotten.
    """

    def __init__(
        self, file: Path, listed: Callable[[str], bool], clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._clock = clock
        self._names = {kept.name: kept for kept in _kept(file) if not listed(kept.name)}
        self._written: float | None = None
        self._changed = False

    def note(self, name: str) -> None:
        """Count a request for `name`."""
        now = self._clock()
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        known = self._names.get(name)
        if known is None:
            if len(self._names) < MOST:
                log.warning("A client asked for a name that the spec does not list", host=name)
            else:
                least = min(self._names.values(), key=lambda n: (n.requests, n.last_seen))
                del self._names[least.name]
            self._names[name] = Unlisted(name, 1, today)
        else:
            known.requests += 1
            known.last_seen = today
        self._changed = True
        if self._written is None or not 0 <= now - self._written < WRITE_EVERY:
            self._written = now
            self.save()

    def listed(self) -> list[Unlisted]:
        """All of them, the most asked for first."""
        return sorted(self._names.values(), key=lambda n: (-n.requests, n.name))

    def save(self) -> None:
        """Write them where they have changed. A disk that is full costs this memory and no request."""
        if not self._changed:
            return
        self._changed = False
        names = {n.name: {"requests": n.requests, "last_seen": n.last_seen} for n in self.listed()}
        try:
            write_atomic(self._file, json.dumps(names).encode())
        except OpsError as error:
            log.warning("Names that clients asked for can't be noted", error=error.message)


def _kept(file: Path) -> Iterable[Unlisted]:
    try:
        value = json.loads(file.read_text("utf-8"))
        return [
            Unlisted(str(name), int(facts["requests"]), str(facts["last_seen"]))
            for name, facts in list(value.items())[:MOST]
        ]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("Names that clients asked for can't be read; a new list begins", error=repr(error))
        return ()
