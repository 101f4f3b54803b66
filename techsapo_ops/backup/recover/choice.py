"""Which copy of the off-site repository a recovery takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from techsapo_ops.backup.repository.restic import AwaySnapshot, Restic
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
