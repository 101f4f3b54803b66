"""Which copy of the off-site repository a recovery takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from techsapo_ops.backup.offsite import AwaySnapshot, Restic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stores.key_endings import Endings


@dataclass(frozen=True, slots=True)
class Choice:
    """The copy, and those after it that were passed over because they hold a part alone."""

    snapshot: AwaySnapshot
    parts: tuple[AwaySnapshot, ...] = ()
    newest: AwaySnapshot | None = None
    """The newest copy of all, where another one was chosen."""
    later: Endings = field(default_factory=dict)
    """Which API keys that one knows as revoked."""


def readable(restic: Restic, warn: Callable[[str], None]) -> tuple[AwaySnapshot, ...]:
    """The copies in the repository, oldest first; `warn` is told of those that can't be read.

    Raises OpsError where that is all of them.
    """
    lost: list[str] = []
    known = restic.snapshots(damaged=lost.extend)
    some = ", ".join(lost[:4])
    if lost and not known:
        raise OpsError(
            msg("the repository is half there: no copy in it can be read ({some})", some=some),
            msg("restic's manual tells how to repair it; another place may have a whole one"),
        )
    if lost:
        warn(
            msg(
                "{count} of the repository's copies can't be read ({some}): the newest may be among them",
                count=len(lost),
                some=some,
            )
        )
    return known


def choose(snapshots: Sequence[AwaySnapshot], at: datetime | None, project: str) -> AwaySnapshot:
    """The newest whole copy of `project`, made at `at` at the latest. `snapshots` are oldest first.

    Raises OpsError where there is none, and where `project` is empty and there are several.
    """
    if not snapshots:
        raise OpsError(
            msg("the repository holds no copy of a stack"),
            msg("check --from; `restic snapshots` lists what it holds"),
        )
    projects = sorted({each.project for each in snapshots if each.project})
    if not project and len(projects) > 1:
        raise OpsError(
            msg("the repository holds several stacks: {projects}", projects=", ".join(projects)),
            msg("add e.g. --project {projects}", projects=projects[0]),
        )
    mine = [each for each in snapshots if not project or each.project == project]
    if not mine:
        raise OpsError(
            msg("the repository holds no copy of {project}", project=project),
            msg("it has {projects}: see --project", projects=", ".join(projects)),
        )
    early = [each for each in mine if at is None or each.time <= at]
    if not early:
        first = f"{mine[0].time.astimezone():%Y-%m-%d %H:%M:%S}"
        raise OpsError(
            msg("there is no copy from then or before"),
            msg("the oldest is of {first}: pass a later --at", first=first),
        )
    whole = [each for each in early if each.whole]
    if not whole:
        raise OpsError(
            msg("every copy holds a part of the data alone: it is of `backup --only` or of a restore"),
            msg("`restic restore` gets what there is (docs/backup.md)"),
        )
    return whole[-1]


def chosen(snapshots: Sequence[AwaySnapshot], id_: str, at: datetime | None) -> Choice:
    """What `choose` has chosen, by its id, with the parts after it. Raises OpsError where it is gone."""
    found = next((each for each in snapshots if each.id == id_), None)
    if found is None:
        raise OpsError(
            msg("the copy {id} is no longer in the repository", id=id_[:8]),
            msg("`techsapo recover --abandon`, then begin anew"),
        )
    later = [each for each in snapshots if each.time > found.time and (at is None or each.time <= at)]
    mine = [each for each in snapshots if each.project == found.project]
    return Choice(
        found,
        tuple(e for e in later if not e.whole and e.project == found.project),
        mine[-1] if mine[-1] is not found else None,
    )
