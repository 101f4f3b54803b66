"""One drill and its report: one at a time, in a scratch folder if needed, recorded and exported."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from techsapo_ops import __version__
from techsapo_ops.adapters.files import private_folder
from techsapo_ops.adapters.folders import STATE_DIRECTORY, opened
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.backup.telling import shared
from techsapo_ops.engines.opening import recorded as recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import DRILL_FOLDERS, Layout
from techsapo_ops.stack.stack import Stack

Failover = Literal["failover-app", "failover-host"]
Drill = Literal["restore", "alert", "recover", Failover]
MOST = 200
"""Reports that are stored; the oldest goes first."""
NAME = "drills"
"""Name of the file for Prometheus and value of its label `name`."""
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z-]{1,20}")
_LARGEST = 1024**2

# The guide's objectives, in seconds.
FAILOVER = 30.0
"""From the loss of an app instance or a host until users are answered again."""
DATA = 15 * 60.0
"""From the begin of a restore until all data is back; the alert DrillMissed has it in minutes."""
SERVICE = 60 * 60.0
"""Until everything runs again: an instance, or the whole stack on an empty host."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How long a part took, in seconds; None where it did not end. `objective` is the longest allowed."""

    name: str
    seconds: float | None
    objective: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the objective is met; without one there is nothing to miss."""
        return self.objective is None or (self.seconds is not None and self.seconds <= self.objective)


@dataclass(frozen=True, slots=True)
class Report:
    """One drill, which took `seconds`. Each of the `problems`, a sentence, is a reason why it missed."""

    id: str
    drill: Drill
    project: str
    engine: str
    version: str
    started: datetime
    seconds: float
    phases: tuple[Phase, ...] = ()
    counts: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[str, ...]:
        """The phases that took too long, then the problems."""
        return (*(phase.name for phase in self.phases if not phase.ok), *self.problems)

    @property
    def ok(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.missed

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the verdict."""
        return {
            **asdict(self),
            "started": self.started.isoformat(timespec="milliseconds"),
            "phases": [{**asdict(phase), "ok": phase.ok} for phase in self.phases],
            "ok": self.ok,
            "missed": list(self.missed),
        }

    @staticmethod
    def from_json(text: bytes) -> Report:
        """What `to_json` made. Raises ValueError for anything else."""
        return TypeAdapter(Report).validate_json(text)


Work = Callable[[Callable[[float], Report]], Report]
"""Does a drill; it is given what makes the report of one that took so many seconds."""


def perform(
    stack: Stack, drill: Drill, what: Mapping[str, Any], work: Work, *, warn: Warn
) -> tuple[Report, Path]:
    """Do `work` as the one drill of this stack; returns the report and its file.

    What a drill that was killed has left is removed first. It is recorded like every other administration,
    and not begun where that is not possible. Raises OpsError where it could not be done.
    """
    at = datetime.now(UTC)
    name = f"{at:%Y%m%dT%H%M%SZ}-{drill}"

    def begin(took: float) -> Report:
        return Report(name, drill, stack.spec.project, stack.engine.name, __version__, at, round(took, 3))

    with exclusive(stack.layout.state / "drill.lock", what=msg("a drill"), waits=False):
        for line in clean(stack.layout, stack.runner):
            warn(line)
        with recorded(stack.layout, msg("drill {drill}", drill=drill), {"id": name, **what}, warn) as known:
            report = work(begin)
            known["ok"] = report.ok
            known["missed"] = list(report.missed)
        written: list[Path] = []

        def write() -> None:
            written.append(keep(stack.layout, report))
            try:
                write_textfile(stack.layout.textfiles, NAME, _samples(stack.layout))
            except OpsError as error:
                warn(msg("the result can't be written for Prometheus: {message}", message=error.message))

        if warning := shared(stack, write):
            warn(warning)
    return report, written[-1]


def keep(layout: Layout, report: Report) -> Path:
    """Write a report down; returns its file. Raises OpsError where that can't be done."""
    private_folder(layout.drills, layout.state)
    written = layout.drills / f"{report.id}.json"
    write_json(written, report.to_json())
    for old in _names(layout)[:-MOST]:
        (layout.drills / f"{old}.json").unlink(missing_ok=True)
    return written


def reports(layout: Layout) -> tuple[Report, ...]:
    """All of them that can be read, oldest first. Raises OpsError where the folder can't be read."""
    read = (_read(layout, name) for name in _names(layout))
    return tuple(report for report in read if report is not None)


def find(layout: Layout, word: str) -> Report:
    """The report that `word` means: latest, an id or the beginning of one. Raises OpsError for none."""
    stored = reports(layout)
    if not stored:
        raise OpsError(
            msg("no drill has a report yet"),
            msg("`techsapo drill restore` creates a report"),
            exit_code=1 if word == "latest" else 2,
        )
    chosen = stored[-1:] if word == "latest" else [each for each in stored if each.id.startswith(word)]
    if len(chosen) != 1:
        raise OpsError(
            msg("the ids of {count} reports begin with {word}", count=len(chosen), word=word)
            if chosen
            else msg("there is no drill report {word}", word=word),
            msg("`techsapo drill list` shows all reports"),
            exit_code=2,
        )
    return chosen[0]


def newest(layout: Layout) -> dict[Drill, Report]:
    """The newest report of each drill."""
    return {report.drill: report for report in reports(layout)}


def _samples(layout: Layout) -> Iterator[Sample]:
    stored = reports(layout)
    met = {report.drill: report for report in stored if report.ok}
    for drill, report in {report.drill: report for report in stored}.items():
        which = {"drill": drill}
        yield Sample("techsapo_drill_last_run_timestamp_seconds", report.started.timestamp(), which)
        yield Sample("techsapo_drill_last_success", float(report.ok), which)
        if drill in met:
            at = met[drill].started.timestamp()
            yield Sample("techsapo_drill_last_success_timestamp_seconds", at, which)
        for phase in report.phases:
            labels = {**which, "phase": phase.name}
            if phase.seconds is not None:
                yield Sample("techsapo_drill_seconds", phase.seconds, labels)
            if phase.objective is not None:
                yield Sample("techsapo_drill_objective_seconds", phase.objective, labels)


def _names(layout: Layout) -> list[str]:
    try:
        files = [path.stem for path in layout.drills.iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OpsError(
            msg("cannot read {folder}: {strerror}", folder=layout.drills, strerror=error.strerror),
            msg("check who owns it"),
        ) from None
    return sorted(name for name in files if _ID.fullmatch(name))


def _read(layout: Layout, name: str) -> Report | None:
    """The report; None for one that is damaged, or no regular file of its owner."""
    try:
        with open_plain(layout.drills / f"{name}.json") as file:
            return Report.from_json(file.read(_LARGEST))
    except (OSError, ValueError):
        return None


@contextmanager
def scratch(layout: Layout, runner: Runner, name: str) -> Iterator[Path]:
    """A folder for one drill's own stack; what runs in it is stopped, and it is gone, after the block.

    Raises OpsError where it can't be made, or removed.
    """
    folder = layout.state / f"{DRILL_FOLDERS}{name}"
    try:
        with opened(folder, make=0o755):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        yield folder
    finally:
        _remove(folder, runner)


def clean(layout: Layout, runner: Runner) -> Iterator[str]:
    """Stop and remove what killed drills have left; a line for each. The caller is the one drill."""
    try:
        folders = sorted(p for p in layout.state.iterdir() if p.name.startswith(DRILL_FOLDERS))
    except OSError:
        return
    for folder in folders:
        if folder.is_symlink() or not folder.is_dir():
            continue
        _remove(folder, runner)
        yield msg("removed the folder {folder}, which an interrupted drill had left", folder=folder.name)


def _remove(folder: Path, runner: Runner) -> None:
    state = folder / "stack" / STATE_DIRECTORY
    if os.path.lexists(state):
        file = folder / "stack" / "techsapo.yaml"
        try:
            recorded_stack(Layout(state, state / "generated", file), runner).stop(remove_data=True)
        except OpsError as error:  # without the folder nobody would find what runs
            raise OpsError(
                msg(
                    "the services that a drill started in {folder} can't be stopped: {message}",
                    folder=folder,
                    message=error.message,
                ),
                msg(
                    "the next drill tries again; to stop the services now, run `techsapo down --volumes "
                    "--file {file}`",
                    file=file,
                ),
            ) from None
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise OpsError(
            msg("cannot remove the folder {folder}, which a drill created", folder=folder),
            msg("remove the folder by hand"),
        )
