"""The newest backup, and the newest of which it is known that it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from techsapo_ops.backup.kinds.shrinking import unaccepted
from techsapo_ops.backup.repository.checks import LEVEL, of_offsite
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG
from techsapo_ops.stack.backup import Shrink
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Proved:
    """That a backup came back: restored on trial here, or fetched from off-site for that."""

    id: str
    begun: datetime | None
    """When the backup was made; None where it is no longer here."""
    at: datetime
    where: Literal["here", "off-site"]


@dataclass(frozen=True, slots=True)
class Backups:
    """How many there are, the newest, the last proof; `failed` are those of which a look was bad, `shrunk`
    what shrank by now and nobody accepted, with the backup.
    """

    count: int
    newest: str | None
    newest_begun: datetime | None
    proved: Proved | None
    failed: tuple[str, ...]
    shrunk: tuple[tuple[str, Shrink], ...] = ()


def backups_of(stack: Stack) -> Backups:
    """What is known of the backups of `stack`. Raises OpsError where they can't be read."""
    repository = repository_of(stack)
    # As the metrics count: what a restore put aside is none, and neither is one that somebody planted.
    known = [b for b in repository.ours() if b.read().tag != SAFETY_TAG]
    begun = {b.id: b.read().started for b in known}
    proved: list[Proved] = []
    failed: list[str] = []
    for backup in known:
        checks = repository.checks(backup)
        if checks.get("deep", {}).get("ok"):
            at = datetime.fromisoformat(checks["deep"]["at"])
            proved.append(Proved(backup.id, begun[backup.id], at, "here"))
        if any(not checks[level]["ok"] for level in ("quick", "deep", LEVEL) if level in checks):
            failed.append(backup.id)
    if good := of_offsite(stack.layout).get("good"):
        at, name = datetime.fromisoformat(good["at"]), str(good.get("id", ""))
        proved.append(Proved(name, begun.get(name), at, "off-site"))
    newest = known[-1].id if known else None
    return Backups(
        len(known),
        newest,
        begun[newest] if newest is not None else None,
        max(proved, key=lambda proof: proof.at, default=None),
        tuple(failed),
        tuple((manifest.id, shrink) for manifest, shrink in unaccepted(*repository.compared())),
    )
