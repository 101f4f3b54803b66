"""The reports of drills, in `drills` of the state directory, and what Prometheus is told of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import Drill, Report
from techsapo_ops.stack.layout import Layout

MOST = 200
"""Reports that are stored; the oldest goes first."""
NAME = "drills"
"""Name of the file for Prometheus and value of its label `name`."""
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z-]{1,20}")
_LARGEST = 1024**2


def keep(layout: Layout, report: Report) -> Path:
    """Write a report down; returns its file. Raises OpsError where that can't be done."""
    private_folder(layout.drills, layout.state)
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"
    written = layout.drills / f"{report.id}.json"
    write_atomic(written, text.encode(), 0o600)
    for old in _names(layout)[:-MOST]:
        (layout.drills / f"{old}.json").unlink(missing_ok=True)
    return written


def reports(layout: Layout) -> tuple[Report, ...]:
    """All of them that can be read, oldest first. Raises OpsError where the folder can't be read."""
    read = (_read(layout, name) for name in _names(layout))
    return tuple(report for report in read if isinstance(report, Report))


def find(layout: Layout, word: str) -> Report:
    """The report that `word` means: latest, an id or the beginning of one. Raises OpsError for none."""
    names = _names(layout)
    chosen = names[-1:] if word == "latest" else [name for name in names if name.startswith(word)]
    if not names:
        raise OpsError(
            msg("no drill has a report yet"),
            msg("`techsapo drill restore` makes one"),
            exit_code=1 if word == "latest" else 2,
        )
    if len(chosen) != 1:
        raise OpsError(
            msg("{count} reports begin with {word}", count=len(chosen), word=word)
            if chosen
            else msg("there is no report {word}", word=word),
            msg("`techsapo drill list` shows them all"),
            exit_code=2,
        )
    read = _read(layout, chosen[0])
    if isinstance(read, str):
        raise OpsError(
            msg("{folder}.json can't be read: {read}", folder=layout.drills / chosen[0], read=read),
            msg("choose another: `techsapo drill list`"),
        )
    return read


def newest(layout: Layout) -> dict[Drill, Report]:
    """The newest report of each drill."""
    return {report.drill: report for report in reports(layout)}


def write_metrics(layout: Layout) -> None:
    """Tell Prometheus of the drills as they are now. Raises OpsError where the file can't be written."""
    write_textfile(layout.textfiles, NAME, _samples(layout))


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


def _read(layout: Layout, name: str) -> Report | str:
    """The report, or why it can't be read."""
    try:
        with open_plain(layout.drills / f"{name}.json") as file:
            return Report.from_json(file.read(_LARGEST))
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:
        return msg("it is no report of a drill ({name})", name=type(error).__name__)
