"""The file that a run keeps its answers in: a line each, on disk before the next question is paid for."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from techsapo_ops.adapters.folders import open_file
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.question import TaskType

_LARGEST = 256 * 1024 * 1024
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Part(BaseModel):
    """What one provider contributed."""

    model_config = ConfigDict(frozen=True)

    name: str
    model: str
    answer: str | None = None
    seconds: Money
    cost_usd: Money


class Attempt(BaseModel):
    """One answer that was paid for. Its texts are a model's: data."""

    model_config = ConfigDict(frozen=True)

    case: str
    digest: str
    tier: TaskType
    answer: str
    commands: tuple[str, ...] = ()
    outcome: str
    accepted: bool
    confidence: Share
    cost_usd: Money
    rubric_usd: Money = 0.0
    rubric: bool | None = None
    """Whether the panel found the rubric met; None where it was not asked or said neither."""
    seconds: Money
    simulated: bool
    cached: bool
    providers: tuple[Part, ...] = ()

    @property
    def spent(self) -> float:
        """USD, with the rubric."""
        return self.cost_usd + self.rubric_usd


class Lost(BaseModel):
    """What a question cost without giving an answer."""

    model_config = ConfigDict(frozen=True)

    lost: str
    """The digest of the question."""
    known_usd: Money
    aside_usd: Money
    """USD of the budget that are set aside for attempts of which nobody knows the cost."""


@dataclass(slots=True)
class Saved:
    """A run's answers by their digests; `run` names it, so that a question asked again is paid once."""

    run: str
    attempts: dict[str, Attempt]
    losses: list[Lost] = field(default_factory=list)
    descriptor: int | None = None

    def add(self, attempt: Attempt) -> None:
        """Keep `attempt`, on disk where there is a file. Raises OSError."""
        self.attempts[attempt.digest] = attempt
        self._append(attempt)

    def lose(self, loss: Lost) -> None:
        """Keep `loss`, on disk where there is a file. Raises OSError."""
        self.losses.append(loss)
        self._append(loss)

    def _append(self, line: BaseModel) -> None:
        if self.descriptor is not None:
            _append(self.descriptor, line.model_dump_json())


def read_saved(path: Path) -> Saved:
    """The answers in the file `path`. Raises OpsError, with exit code 2, where it is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        saved, _ = _read(path, descriptor)
    finally:
        os.close(descriptor)
    return saved


@contextmanager
def saving(path: Path | None) -> Iterator[Saved]:
    """A run that goes on with what `path` holds, and adds to it; without a path nothing is kept.

    Raises OpsError, with exit code 2, where the file can't be used or another run writes it.
    """
    if path is None:
        yield Saved(str(uuid.uuid4()), {})
        return
    try:
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OpsError(msg("another run is writing to {path}", path=path), exit_code=2) from None
        saved, whole = _read(path, descriptor)
        try:
            os.ftruncate(descriptor, whole)  # what a killed run left unfinished
            if not whole:
                _append(descriptor, json.dumps({"run": saved.run}))
        except OSError as error:
            raise _unusable(path, error) from None
        saved.descriptor = descriptor
        yield saved
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> tuple[Saved, int]:
    """What the file holds, and how many of its bytes are whole lines."""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST:
        raise OpsError(msg("{path} holds no answers of `techsapo eval`", path=path), exit_code=2)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        data = file.read(_LARGEST)
    whole = data.rfind(b"\n") + 1
    lines = data[:whole].splitlines()
    try:
        if not lines and data[:7] != b'{"run":'[: len(data)]:
            raise ValueError
        run = str(uuid.UUID(json.loads(lines[0])["run"])) if lines else str(uuid.uuid4())
        attempts, losses = [], []
        for line in lines[1:]:
            if line.startswith(b'{"lost":'):
                losses.append(Lost.model_validate_json(line))
            else:
                attempts.append(Attempt.model_validate_json(line))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ValidationError):
        raise OpsError(
            msg("{path} holds no answers of `techsapo eval`", path=path),
            msg("name another file; nothing was written"),
            exit_code=2,
        ) from None
    return Saved(run, {a.digest: a for a in attempts}, losses), whole


def _append(descriptor: int, line: str) -> None:
    before = os.fstat(descriptor).st_size
    left = memoryview(line.encode(errors="replace") + b"\n")
    try:
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _unusable(path: Path, error: OSError) -> OpsError:
    return OpsError(msg("{path}: {reason}", path=path, reason=error.strerror), exit_code=2)
