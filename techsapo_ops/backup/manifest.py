"""What a backup says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from techsapo_ops.errors import OpsError

VERSION = 1
"""Of the manifest's form; a newer one is refused."""


@dataclass(frozen=True, slots=True)
class Part:
    """One source's file in a backup.

    `bytes` and `sha256` are those of the packed file, `raw_bytes` what it holds. `facts` were asked of the
    server at the moment of the dump, not read from the file; their keys are the source's own.
    """

    kind: str
    file: str
    bytes: int
    raw_bytes: int
    sha256: str
    seconds: float
    server: str = ""
    """Name and version of the server that was dumped."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The word that `--only` knows it by: `sqlite` of `sqlite:app-2`."""
        return self.kind.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. `sequence` orders backups, whatever the clock says; times are UTC."""

    id: str
    sequence: int
    project: str
    engine: str
    tool: str
    started: datetime
    ended: datetime
    parts: tuple[Part, ...]
    tag: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Sources that were not backed up, and why."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of its parts."""
        return tuple(part.kind for part in self.parts)

    def part(self, kind: str) -> Part | None:
        """The part of that kind."""
        return next((part for part in self.parts if part.kind == kind), None)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON data."""
        return {
            "version": VERSION,
            **asdict(self),
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
        }

    def text(self) -> str:
        """The manifest as it is written."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n"


def read(text: str, where: str) -> Manifest:
    """The manifest of `text`. Raises OpsError for one that is damaged or of a newer form."""
    try:
        found = json.loads(text)
        version = found.pop("version")
        if version > VERSION:
            raise OpsError(
                f"{where} was written by a newer techsapo (form {version}, this one knows {VERSION})",
                "update techsapo-ops",
            )
        parts = tuple(Part(**part) for part in found.pop("parts"))
        started, ended = (datetime.fromisoformat(found.pop(key)) for key in ("started", "ended"))
        return Manifest(**found, started=started, ended=ended, parts=parts)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OpsError(f"{where} is damaged", "this backup can't be trusted; take another one") from None
