"""What was found when this host was looked at for a stack."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding counts; only `missing` keeps the stack from being complete."""

    OK = "ok"
    NOTE = "note"
    """Good to know."""
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class HostFinding:
    """One fact about the host; `remedy` says what to do, `package` is the Debian package that helps."""

    topic: str
    name: str
    level: Level
    detail: str
    remedy: str = ""
    package: str | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """What an engine finds of its own needs; `ports` are those of this host that lead into its containers."""

    findings: tuple[HostFinding, ...]
    ports: frozenset[int] = frozenset()
