"""How the audit database does: what it failed at, and when it is asked again."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger("techsapo.audit")

RETRY = 1.0
"""Seconds between attempts while the database is down."""


class Condition:
    """Of the database at `where`. It is changed by the writer's thread alone, and read from any."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._opened = threading.Event()
        self._retry_at = 0.0
        self.errors = 0
        """Operations that failed in a row."""
        self.last_error = "not opened yet"

    @property
    def well(self) -> bool:
        """Whether it was reached, and failed at nothing since."""
        return self._opened.is_set() and self.errors == 0

    @property
    def due(self) -> bool:
        """Whether it may be asked: it failed at nothing a moment ago."""
        return time.monotonic() >= self._retry_at

    def pause(self) -> None:
        """Leave it alone for a moment."""
        self._retry_at = time.monotonic() + RETRY

    def failed(self, error: Exception) -> None:
        """Take note of a failure; the first one is logged."""
        self.errors += 1
        cause = getattr(error, "orig", None) or error
        self.last_error = " ".join(str(cause).split())[:200] or type(cause).__name__
        self.pause()
        if self.errors == 1:
            log.error(
                "The audit database can't be written; rows wait on disk",
                extra={"database": self._where, "error": self.last_error},
            )

    def worked(self) -> None:
        """Take note of a success; that it is back is logged."""
        if self.errors:
            log.info("The audit database is back", extra={"database": self._where})
        self.errors = 0
        self._opened.set()
