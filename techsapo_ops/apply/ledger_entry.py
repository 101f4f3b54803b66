"""One apply as the ledger records it, the file that says so, and the environment that it was for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT

ENTRY = re.compile(r"\d{6,}\.json")
"""The name of an apply's file in the ledger."""
Result = Literal["ok", "failed", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Done:
    """One step as it was performed; `error` is its message, or None."""

    action: str
    service: str
    reason: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One apply. `state` names its snapshot, "" once that is forgotten; `identity` tells whether two differ.

    `result` is about what was asked for: with `rolled-back` it failed, and the stack is at `back_to` again.
    `restores` is the apply that a roll back went to, `files` what was written, by path.
    """

    id: int
    time: datetime
    user: str
    command: str
    version: str
    engine: str
    environment: str | None
    spec_hash: str
    state: str
    identity: str
    result: Result
    reason: str = ""
    restores: int | None = None
    back_to: int | None = None
    seconds: float = 0.0
    files: tuple[tuple[str, str], ...] = ()
    steps: tuple[Done, ...] = ()
    images: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the stack was what was asked for afterwards."""
        return self.result == "ok"


def entry_files(folder: Path) -> list[Path]:
    """The files of the applies in the ledger `folder`, oldest first. Raises OpsError."""
    try:
        files = [path for path in folder.iterdir() if ENTRY.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from None
    return sorted(files, key=lambda path: int(path.stem))


def last_good(folder: Path) -> LedgerEntry | None:
    """The last good apply in the ledger `folder`, by the newest files alone: every command asks this.

    None before the first. Raises OpsError.
    """
    for path in reversed(entry_files(folder)):
        try:
            entry = read_entry(path.read_bytes())
        except FileNotFoundError:  # forgotten meanwhile, as one of the oldest
            continue
        except OSError as error:
            raise unreadable(folder, error) from None
        if entry is not None and entry.good:
            return entry
    return None


def unreadable(folder: Path, error: OSError) -> OpsError:
    """What to say where the ledger `folder` can't be read."""
    return OpsError(
        msg("cannot read the ledger {folder}: {strerror}", folder=folder, strerror=error.strerror),
        msg("run as the user who ran `up`"),
    )


def describe_files(files: Sequence[tuple[str, str]]) -> str:
    """`3 files`, `1 file`, or nothing."""
    if not files:
        return ""
    return msg("1 file") if len(files) == 1 else msg("{count} files", count=len(files))


def written_entry(entry: LedgerEntry) -> bytes:
    """`entry` as its file holds it."""
    value = {**asdict(entry), "time": entry.time.isoformat()}
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def read_entry(data: bytes) -> LedgerEntry | None:
    """The apply that a file holds; None where it is damaged."""
    try:
        value = json.loads(data)
        entry = LedgerEntry(**value)
        return replace(
            entry,
            time=datetime.fromisoformat(value["time"]),
            files=tuple((str(path), str(kind)) for path, kind in value["files"]),
            steps=tuple(Done(**step) for step in value["steps"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """Another environment than the one that was applied; None is that of the spec without an overlay."""

    before: str | None
    now: str | None

    def __str__(self) -> str:
        """The change in a line: `environment: production → none`."""
        return msg(
            "environment: {before} → {now}",
            before=self.before or NO_ENVIRONMENT,
            now=self.now or NO_ENVIRONMENT,
        )


def change_of(state: Path, wanted: str | None) -> EnvironmentChange | None:
    """How `wanted` differs from what the stack with the state directory `state` was applied in last.

    None before the first apply: nothing is left then. Raises OpsError where that can't be read.
    """
    applied = last_good(state / "ledger")
    if applied is None or applied.environment == wanted:
        return None
    return EnvironmentChange(applied.environment, wanted)


def environment_of(state: Path | None, named: str | None) -> str | None:
    """The environment that `named` means: "none" is the spec without an overlay, and None the applied one.

    That is of the stack with the state directory `state`, if there is any. Raises OpsError.
    """
    if named is None:
        return applied_environment(state) if state is not None else None
    return None if named == NO_ENVIRONMENT else named


def applied_environment(state: Path) -> str | None:
    """The environment of the last good apply; None also before the first. Raises OpsError."""
    applied = last_good(state / "ledger")
    return applied.environment if applied is not None else None
