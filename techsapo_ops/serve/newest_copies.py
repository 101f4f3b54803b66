"""What jobs, backups and certificates left on several hosts: each once, by the newest copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from techsapo_ops.adapters.prometheus import Sample
from techsapo_ops.catalogue.newest_copy import of_newest_copy


class Queried(Protocol):
    """What answers an expression of PromQL. Raises Unreachable or ApiError."""

    def query(self, expression: str, /) -> Sequence[Sample]:
        """The instant vector of an expression now."""
        ...


class NewestCopies:
    """A Prometheus of several hosts, read as the alerts read it."""

    def __init__(self, prometheus: Queried) -> None:
        self._prometheus = prometheus

    def query(self, expression: str, /) -> Sequence[Sample]:
        """The same of the host alone whose files are the newest."""
        return self._prometheus.query(of_newest_copy(expression))
