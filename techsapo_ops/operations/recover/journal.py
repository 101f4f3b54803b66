"""How far a recovery has come: what a killed one goes on from, and all that `--abandon` may remove."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from techsapo_ops.adapters.files import private_folder, read_text, write_atomic
from techsapo_ops.adapters.folders import GIT_IGNORE, missing, opened, remove_empty
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import without_logins
from techsapo_ops.messages import msg
from techsapo_ops.stack import shapes
from techsapo_ops.stack.layout import RECOVERY, Layout

FETCHED = "fetched"
PREPARED = "prepared"
_VERSION = 1
STEPS = ("fetch", "place", "up", "restore", "certificates", "schedule", "health")
"""In their order, each done once."""
HOSTS = "hosts"
"""Another one, before `up`, where the stack is on several hosts."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants: it has to be the same when a recovery goes on."""

    repository: str
    at: str = ""
    """A time (ISO 8601, UTC) that the copy may not be younger than; empty for the newest."""
    project: str = ""
    settings: tuple[str, ...] = ()
    """`PATH=VALUE` each, written into the spec."""
    engine: str | None = None
    environment: str | None = None
    without: tuple[str, ...] = ()
    """Kinds of data that are not restored."""
    revoke_all_keys: bool = False
    """Whether no API key of the copy may work."""

    @property
    def moment(self) -> datetime | None:
        """`at` as a moment."""
        return datetime.fromisoformat(self.at) if self.at else None

    @property
    def place(self) -> str:
        """The repository as it may be shown and recorded: an address may hold a login."""
        return without_logins(self.repository)


@dataclass(frozen=True, slots=True)
class Journal:
    """A recovery under way. `done` has the seconds that each step took, `made` what lies outside the state
    directory and was not there before, `folders` the folders above that which were not there either.
    """

    asked: Asked
    snapshot: str
    backup: str
    done: dict[str, float] = field(default_factory=dict)
    made: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    spec: str = ""
    """Path of the spec, once it is placed."""
    environment: str | None = None
    engine: str | None = None
    """The engine that was chosen."""
    schedule: str = ""
    """Where the schedule was installed outside the stack: `cron`."""
    began: str = ""
    """When it was first asked for (ISO 8601, UTC): a step that is killed notes no seconds."""
    remaining: tuple[tuple[str, str], ...] = ()
    """What did not work in the steps that are done, and what to try."""
    several: bool = False
    """Whether the stack is one of several hosts."""
    data_of: str = ""
    """The moment of the data (ISO 8601, UTC), once the files are placed."""

    def has(self, step: str) -> bool:
        """Whether that step is done."""
        return step in self.done

    @property
    def steps(self) -> tuple[str, ...]:
        """All steps of this recovery, in their order."""
        if not self.several:
            return STEPS
        at = STEPS.index("up")
        return (*STEPS[:at], HOSTS, *STEPS[at:])


class Desk:
    """The private folder of a recovery into the state directory `state`, and its journal."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / RECOVERY
        self.fetched = self.folder / FETCHED
        self.prepared = self.folder / PREPARED
        self.folders: tuple[Path, ...] = ()
        """Those above the state directory that were not there before the lock, the outermost first."""
        self._path = Layout(state, state).recovery_journal

    @contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Be the only recovery into this folder, waiting up to `wait` seconds for that.

        Raises OpsError, also where there is a stack already.

        What was made for it is gone after the block where no recovery was begun.
        """
        there = others(self.state)
        if there and not self._path.exists():
            raise OpsError(
                msg(
                    "{parent} has a stack already: {state} holds {there}",
                    parent=self.state.parent,
                    state=self.state,
                    there=", ".join(there[:4]),
                ),
                msg("recover --into another folder; nothing was touched"),
            )
        self.folders = missing(self.state.parent)
        try:
            self._make()
            with exclusive(self.folder / "lock", wait=wait, what=msg("this recovery")):
                try:
                    yield
                finally:
                    if self.folder.exists() and not self._path.exists():
                        self.clear()
        finally:
            if not self._path.exists():
                remove_empty(self.folders)

    def _make(self) -> None:
        try:
            with opened(self.state, make=0o755):  # services of other users have to reach what is in it
                pass
        except OSError as error:
            raise cannot_write(self.state, error) from None
        private_folder(self.folder, self.state)

    def clear(self) -> None:
        """Remove the folder of the recovery, and the state directory where it holds nothing else."""
        if self.folder.exists():
            # The journal goes last: what is killed here is gone on with by the same command.
            _empty(self.folder, self._path)
            shutil.rmtree(self.folder)
        if self.state.exists() and not others(self.state):
            if self.state.is_symlink():  # somebody wants it on another disk
                _empty(self.state)
            else:
                shutil.rmtree(self.state)

    def remove(self) -> None:
        """Remove the whole state directory, the journal last."""
        _empty(self.state, self.folder)
        self.clear()

    def read(self) -> Journal | None:
        """The recovery that did not end; None where there is none. Raises OpsError for a damaged journal."""
        if not self._path.exists():
            return None
        try:
            found = json.loads(read_text(self._path, what=msg("journal of a recovery")))
            if found.pop("version") != _VERSION or not _WHOLE(found):
                raise ValueError
            asked = found.pop("asked")
            asked = Asked(
                **{**asked, "settings": tuple(asked["settings"]), "without": tuple(asked["without"])}
            )
            found["remaining"] = tuple((what, remedy) for what, remedy in found.get("remaining", ()))
            for paths in ("made", "folders"):
                found[paths] = tuple(found[paths])
            return Journal(**{**found, "asked": asked})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OpsError(
                msg("{path} is damaged, or another version's", path=self._path),
                msg(
                    "go on with the version that began it; or `techsapo down --volumes` in {parent}, and "
                    "remove {state}: the repository has everything still",
                    parent=self.state.parent,
                    state=self.state,
                ),
            ) from None

    def write(self, journal: Journal) -> Journal:
        """Make it the journal, on disk before this returns. Raises OpsError."""
        text = json.dumps({"version": _VERSION, **asdict(journal)}, ensure_ascii=False, indent=1)
        write_atomic(self._path, f"{text}\n".encode(), 0o600)
        return journal


def _empty(folder: Path, but: Path | None = None) -> None:
    """Remove all that is in `folder` but that."""
    for path in folder.iterdir():
        if path != but:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def others(state: Path) -> list[str]:
    """What the state directory holds beside a recovery."""
    if not os.path.lexists(state):
        return []
    ours = {RECOVERY, GIT_IGNORE}
    return sorted(path.name for path in state.iterdir() if path.name not in ours)


_TEXTS = shapes.listed(shapes.text)
_WHOLE = shapes.has(
    asked=shapes.has(
        repository=shapes.text,
        at=shapes.text,
        project=shapes.text,
        settings=_TEXTS,
        engine=shapes.optional(shapes.text),
        environment=shapes.optional(shapes.text),
        without=_TEXTS,
        revoke_all_keys=shapes.flag,
    ),
    snapshot=shapes.text,
    backup=shapes.text,
    done=shapes.each(shapes.number),
    made=_TEXTS,
    folders=_TEXTS,
    spec=shapes.text,
    environment=shapes.optional(shapes.text),
    engine=shapes.optional(shapes.text),
    schedule=shapes.text,
    also={
        "began": shapes.text,
        "remaining": shapes.listed(_TEXTS),
        "several": shapes.flag,
        "data_of": shapes.text,
    },
)
