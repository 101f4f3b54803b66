"""Runs `techsapo` and kills it with SIGKILL at one point of a recovery: `python fault_recover.py POINT …`.

A point is a step after which it dies (`fetch`, `place`, …), `fetching` (half of the copy is here), `placing`
(the first file is in its place), `moving` (the backup's folder is), `restoring` (data is to be replaced).
The product itself knows nothing of it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from fault_point import die

from techsapo_ops.backup.offsite import Restic
from techsapo_ops.operations.backup import restore
from techsapo_ops.operations.recover import run
from techsapo_ops.operations.recover.journal import Desk, Journal


def arm(point: str) -> None:
    """Make this process die at `point`."""
    if point == "fetching":
        fetch = Restic.restore

        def half(self: Restic, snapshot: str, target: Path) -> None:
            fetch(self, snapshot, target)
            for path in [p for p in target.rglob("*") if p.is_file()][::2]:
                path.unlink()
            die()

        Restic.restore = half  # type: ignore[method-assign] # the fault that is wanted
    elif point in {"placing", "moving"}:
        put = run.put

        def placed(placement: Any, *rest: Any) -> list[str]:
            links = put(placement, *rest)
            if point == "placing" or placement.kept.what == "backup":
                die()
            return links

        run.put = placed
    elif point == "restoring":
        note = restore.journal

        def noted(*told: Any) -> None:
            note(*told)
            die()

        restore.journal = noted
    else:
        done = Desk.done

        def ended(self: Desk, journal: Journal, step: str, seconds: float) -> Journal:
            written = done(self, journal, step, seconds)
            if step == point:
                die()
            return written

        Desk.done = ended  # type: ignore[method-assign] # the fault that is wanted


if __name__ == "__main__":
    arm(sys.argv[1])
    assert shutil.which("restic")
    from techsapo_ops.cli.main import main

    sys.argv = ["techsapo", *sys.argv[2:]]
    main()
