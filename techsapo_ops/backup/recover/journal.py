"""What the journal holds of a recovery, which may not end for hours; its private folder; what came of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from techsapo_ops.adapters.files import private_folder
from techsapo_ops.adapters.folders import GIT_IGNORE, missing, opened, remove_empty
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.fields import without_logins
from techsapo_ops.messages import msg
from techsapo_ops.stack.journal import Journal, Operation
from techsapo_ops.stack.layout import JOURNAL, RECOVERY, Layout
from techsapo_ops.stores.keys import ApiKey

FETCHED = "fetched"
PREPARED = "prepared"
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
class Recovering:
    """What a recovery goes on from, and all that `--abandon` may remove. `made` lies outside the state
    directory and was not there before; neither were `folders`, which are above that.
    """

    asked: Asked
    snapshot: str
    backup: str
    made: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    spec: str = ""
    """Path of the spec, once it is placed."""
    environment: str | None = None
    engine: str | None = None
    """The engine that was chosen."""
    scheduled: bool = False
    """Whether a schedule was installed outside the stack, or was about to be."""
    remaining: tuple[tuple[str, str], ...] = ()
    """What did not work in the steps that are done, and what to try."""
    several: bool = False
    """Whether the stack is one of several hosts."""
    data_of: str = ""
    """The moment of the data (ISO 8601, UTC), once the files are placed."""

    @property
    def steps(self) -> tuple[str, ...]:
        """All steps of this recovery, in their order."""
        if not self.several:
            return STEPS
        at = STEPS.index("up")
        return (*STEPS[:at], HOSTS, *STEPS[at:])


class RecoveryJournal(Journal[Recovering]):
    """The journal of recoveries into the state directory `state`."""

    def __init__(self, state: Path) -> None:
        super().__init__(Layout(state, state), Operation.RECOVERY, Recovering)

    def step(self, name: str, work: Callable[[], object], *, before: float = 0.0) -> None:
        """Do `work` unless that step is done, and note its seconds with those that it took `before`."""
        if name not in self.under_way.done:
            began = time.monotonic() - before
            self.reach(name)
            work()
            self.done(name, time.monotonic() - began)

    def making(self, path: Path) -> None:
        """Note that `path`, which is not there yet, is about to be made, with the folders that it needs."""
        facts = self.under_way.facts
        if str(path) not in facts.made:
            above = dict.fromkeys((*facts.folders, *map(str, missing(path.parent))))
            self.note(made=(*facts.made, str(path)), folders=tuple(above))

    def remains(self, problems: Iterable[tuple[str, str]]) -> None:
        """Note what did not work: it is reported at the end, by whichever command comes to that."""
        before = self.under_way.facts.remaining
        known = tuple(dict.fromkeys((*before, *problems)))
        if known != before:
            self.note(remaining=known)


class Desk:
    """The private folder of a recovery into the state directory `state`, and its `journal`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / RECOVERY
        self.fetched = self.folder / FETCHED
        self.prepared = self.folder / PREPARED
        self.folders: tuple[Path, ...] = ()
        """Those above the state directory that were not there before the lock, the outermost first."""
        self.journal = RecoveryJournal(state)

    @contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Be the only recovery into this folder, waiting up to `wait` seconds for that.

        Raises OpsError, also where there is a stack already.

        What was made for it is gone after the block where no recovery was begun.
        """
        there = others(self.state)
        if there and not self.journal.path.exists():
            raise OpsError(
                msg(
                    "{parent} already has a stack: {state} contains {there}",
                    parent=self.state.parent,
                    state=self.state,
                    there=", ".join(there[:4]),
                ),
                msg("choose another folder with --into; nothing was touched"),
            )
        self.folders = missing(self.state.parent)
        try:
            self._make()
            with exclusive(self.folder / "lock", wait=wait, what=msg("this recovery")):
                try:
                    yield
                finally:
                    if self.folder.exists() and not self.journal.path.exists():
                        self.clear()
        finally:
            if not self.journal.path.exists():
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
            shutil.rmtree(self.folder)
        self.journal.end()  # last: what is killed before is gone on with by the same command
        if self.state.exists() and not others(self.state):
            if self.state.is_symlink():  # somebody wants it on another disk
                _empty(self.state)
            else:
                shutil.rmtree(self.state)

    def remove(self) -> None:
        """Remove the whole state directory, the journal last."""
        _empty(self.state, {RECOVERY, JOURNAL})
        self.clear()


def _empty(folder: Path, but: Collection[str] = ()) -> None:
    """Remove all that is in `folder` but those names."""
    for path in folder.iterdir():
        if path.name not in but:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def others(state: Path) -> list[str]:
    """What the state directory holds beside a recovery."""
    if not os.path.lexists(state):
        return []
    ours = {RECOVERY, JOURNAL, GIT_IGNORE}
    return sorted(path.name for path in state.iterdir() if path.name not in ours)


DATA_MINUTES, WHOLE_MINUTES = 15, 60
"""The guide's numbers: the data is back, and the whole service."""
DATA_STEPS = ("fetch", "place", "hosts", "up", "restore")


@dataclass(frozen=True, slots=True)
class Recovered:
    """A recovery that is through. `remaining` is what did not work, and what to try."""

    spec: str
    backup: str
    snapshot: str
    seconds: Mapping[str, float]
    status: str
    remaining: tuple[tuple[str, str], ...]
    data_of: str
    """The moment of the data (ISO 8601, UTC)."""
    keys: tuple[ApiKey, ...]
    """The API keys that work."""
    since_began: float = 0.0
    """Seconds since it was first asked for, with what was waited for, cut short and done again."""

    @property
    def data_seconds(self) -> float:
        """Until all data was back and compared."""
        return round(sum(self.seconds.get(step, 0.0) for step in DATA_STEPS), 3)

    @property
    def whole_seconds(self) -> float:
        """Until the whole service was."""
        return round(sum(self.seconds.values()), 3)
