"""Which copy of the off-site repository a recovery takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.backup.offsite import AwaySnapshot
from techsapo_ops.errors import OpsError


@dataclass(frozen=True, slots=True)
class Choice:
    """The copy, and those after it that were passed over because they hold a part alone."""

    snapshot: AwaySnapshot
    parts: tuple[AwaySnapshot, ...] = ()


def choose(snapshots: Sequence[AwaySnapshot], at: datetime | None, project: str) -> Choice:
    """The newest whole copy of `project`, made at `at` at the latest. `snapshots` are oldest first.

    Raises OpsError where there is none, and where `project` is empty and there are several.
    """
    if not snapshots:
        raise OpsError(
            "the repository holds no copy of a stack", "check --from; `restic snapshots` lists what it holds"
        )
    projects = sorted({each.project for each in snapshots if each.project})
    if not project and len(projects) > 1:
        raise OpsError(
            f"the repository holds several stacks: {', '.join(projects)}", f"add e.g. --project {projects[0]}"
        )
    # Those of before 0.2 name no project.
    mine = [each for each in snapshots if not project or each.project in {project, ""}]
    if not mine:
        raise OpsError(
            f"the repository holds no copy of {project}", f"it has {', '.join(projects)}: see --project"
        )
    early = [each for each in mine if at is None or each.time <= at]
    if not early:
        first = f"{mine[0].time.astimezone():%Y-%m-%d %H:%M:%S}"
        raise OpsError("there is no copy from then or before", f"the oldest is of {first}: pass a later --at")
    whole = [each for each in early if each.whole]
    if not whole:
        raise OpsError(
            "every copy holds a part of the data alone: it is of `backup --only` or of a restore",
            "`restic restore` gets what there is (docs/backup.md)",
        )
    chosen = whole[-1]
    return Choice(chosen, tuple(each for each in early if each.time > chosen.time))
