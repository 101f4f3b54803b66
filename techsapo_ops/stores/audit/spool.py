"""Audit rows that wait on disk while the database is down."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

log = logging.getLogger("techsapo.audit")

DRILL = "drill"
"""Tier and status of the rows of drills, which no report counts: nobody asked, and nobody paid."""


@dataclass(frozen=True, slots=True)
class AuditCall:
    """One call to a provider within a request; `phase` is answer, grade or revise."""

    provider: str
    model: str
    phase: str
    status: str
    cost_usd: float
    tokens_input: int
    tokens_output: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One request. `id` is the row's own (32 hex digits), so that a replay never makes a second row.

    `time` is UTC; `providers` are names; scores are 0 to 1, None where there was no verdict. `threshold` is
    the confidence that the tier asks for. `prompt` is there only where the spec keeps it, masked. `key_id`
    is the API key's, `user_id` its name; `claimed_user` is whom the client named, which proves nothing.
    Where no key is needed, `user_id` is the claim. `cost_usd` is what the request was charged, `calls` what
    it consists of.
    """

    id: str
    time: datetime
    instance: str
    request_id: str
    user_id: str | None
    task_type: str
    prompt_hash: str
    providers: tuple[str, ...]
    confidence: float | None
    consensus: float | None
    accepted: bool | None
    simulated: bool
    cache: str
    cost_usd: float
    status: str
    processing_ms: int
    key_id: str | None = None
    prompt: str | None = None
    threshold: float | None = None
    claimed_user: str | None = None
    calls: tuple[AuditCall, ...] = ()

    def to_json(self) -> str:
        """One line of JSON."""
        value = {**asdict(self), "time": self.time.isoformat()}
        if self.claimed_user is None:
            del value["claimed_user"]  # 0.1.0 does not know it, and passes over a line that has it
        return json.dumps(value, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> AuditRow:
        """The row of one line; raises ValueError, KeyError or TypeError for anything else."""
        value: dict[str, Any] = json.loads(line)
        value["time"] = datetime.fromisoformat(value["time"])
        value["providers"] = tuple(value["providers"])
        value["calls"] = tuple(AuditCall(**call) for call in value.get("calls", ()))
        return cls(**value)


class Spool:
    """A JSONL file. Only one thread of one process may use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = sum(1 for _ in self.read())

    def append(self, rows: list[AuditRow]) -> None:
        """Add rows; they are on disk when this returns. Raises OSError."""
        torn = self._ends_torn()
        descriptor = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            start = file.tell()
            try:
                file.write(("\n" if torn else "") + "".join(row.to_json() + "\n" for row in rows))
                file.flush()
                os.fsync(descriptor)
            except OSError:
                # Half a batch must not be replayed beside the whole one that the caller keeps.
                os.ftruncate(descriptor, start)
                raise
        self.rows += len(rows)

    def read(self) -> Iterator[AuditRow]:
        """The waiting rows; a line torn by a crash is passed over and reported."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    yield AuditRow.from_json(line)
                except (ValueError, KeyError, TypeError):
                    log.error(
                        "A spooled audit row can't be read", extra={"file": str(self.path), "line": number}
                    )

    def clear(self) -> None:
        """Forget all rows, after they are in the database. Raises OSError."""
        self.path.unlink(missing_ok=True)
        self.rows = 0

    def _ends_torn(self) -> bool:
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) == 0:
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except FileNotFoundError:
            return False
