"""The drill of a restore: the newest backup, in throwaway servers, compared and timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from techsapo_ops.backup.repository import repository_of
from techsapo_ops.operations.backup.verify import verify_backup
from techsapo_ops.operations.drills.report import DATA, Phase, Report
from techsapo_ops.stack.stack import Stack


def drill_restore(
    stack: Stack,
    begin: Callable[[float], Report],
    *,
    which: str = "latest",
    now: datetime,
    wait: float = 0.0,
    told: Callable[[str, int], None] = lambda _kind, _bytes: None,
) -> Report:
    """Restore a backup on trial, as `backup verify --deep` does, and compare its time with DATA.

    Nothing of the stack itself is touched. What came since the backup was begun would be lost: the report
    has that age as `lost_seconds`. A newer backup that can't be read is a problem. Raises OpsError where the
    trial can't be made, which says nothing of the backup.
    """
    started = time.monotonic()
    trial = verify_backup(stack, which, deep=True, wait=wait, told=told)
    took = time.monotonic() - started
    # Where it does not restore there is no time in which it did.
    data = round(sum(part.seconds for part in trial.parts), 3) if trial.ok else None
    manifest = repository_of(stack).find(trial.id).manifest
    age = None if manifest is None else round((now - manifest.started).total_seconds())
    return replace(
        begin(took),
        phases=(Phase("data", data, DATA),),
        counts={"lost_seconds": age, **{f"{part.kind}_seconds": part.seconds for part in trial.parts}},
        facts={
            "backup": trial.id,
            **{part.kind: "restored, and equal" if part.ok else "not as backed up" for part in trial.parts},
        },
        problems=(*trial.sentences, *trial.passed_over),
        notes=tuple(filter(None, [trial.note, *(f"{p.kind}: {p.note}" for p in trial.parts if p.note)])),
    )
