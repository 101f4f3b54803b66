"""The reports of drills, below `drills` in the state directory: each as JSON and as Markdown."""

from __future__ import annotations

import json
import re
from pathlib import Path

from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import Drill, Report
from techsapo_ops.stack.layout import Layout

MOST = 200
"""Reports that are kept; the oldest goes first."""
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z-]{1,20}")
_LARGEST = 4 * 1024**2


def folder_of(layout: Layout) -> Path:
    """Where they are."""
    return layout.drills


def keep(layout: Layout, report: Report, page: str) -> Path:
    """Write a report down; returns its Markdown file. Raises OpsError where that can't be done."""
    folder = folder_of(layout)
    private_folder(folder, layout.state)
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"
    written = folder / f"{report.id}.md"
    write_atomic(written, page.encode(), 0o600)
    # The last: what is listed has its page.
    write_atomic(folder / f"{report.id}.json", text.encode(), 0o600)
    for old in _names(folder)[:-MOST]:
        for name in (f"{old}.json", f"{old}.md"):
            (folder / name).unlink(missing_ok=True)
    return written


def reports(layout: Layout) -> tuple[Report, ...]:
    """All of them that can be read, oldest first. Raises OpsError where the folder can't be read."""
    folder = folder_of(layout)
    found = (_read(folder / f"{name}.json") for name in _names(folder))
    return tuple(report for report in found if isinstance(report, Report))


def find(layout: Layout, word: str) -> Report:
    """The report that `word` means: latest, an id or the beginning of one. Raises OpsError for none."""
    folder = folder_of(layout)
    names = _names(folder)
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
    read = _read(folder / f"{chosen[0]}.json")
    if isinstance(read, str):
        raise OpsError(
            msg("{folder}.json can't be read: {read}", folder=folder / chosen[0], read=read),
            msg("choose another: `techsapo drill list`"),
        )
    return read


def newest(layout: Layout) -> dict[Drill, Report]:
    """The newest report of each drill."""
    return {report.drill: report for report in reports(layout)}


def _names(folder: Path) -> list[str]:
    try:
        found = [path.stem for path in folder.iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OpsError(
            msg("cannot read {folder}: {strerror}", folder=folder, strerror=error.strerror),
            msg("check who owns it"),
        ) from None
    return sorted(name for name in found if _ID.fullmatch(name))


def _read(path: Path) -> Report | str:
    """The report, or why it can't be read."""
    try:
        with open_plain(path) as file:
            return Report.from_json(json.loads(file.read(_LARGEST)))
    except OSError as error:
        return error.strerror or type(error).__name__
    except StopIteration:
        return msg("it is of a drill that this version does not know")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return msg("it is no report of a drill ({name})", name=type(error).__name__)
