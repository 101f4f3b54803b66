"""Runs `techsapo` and kills it with SIGKILL at one point of a recovery: `python fault_recover.py POINT …`.

A point is a step after which it dies (`fetch`, `place`, …), `fetching` (half of the copy is here), `placing`
(the first file is in its place), `moving` (the backup's folder is), `restoring` (data is to be replaced).
With `int:POINT` it is not killed: Ctrl-C is pressed there, and the stack is `starting` at one more point. The
product itself knows nothing of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fault_point

from techsapo_ops.backup.offsite import Restic
from techsapo_ops.operations.apply.journal import Journal as JournalOfApply
from techsapo_ops.operations.apply.journal import Note
from techsapo_ops.operations.backup import going_back
from techsapo_ops.operations.recover import run
from techsapo_ops.operations.recover.progress import Progress


def interrupt() -> None:
    """As by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may have it ignored
    os.kill(os.getpid(), signal.SIGINT)


def arm(point: str) -> None:
    """Make this process die at `point`, or be interrupted there."""
    how, _, point = point.rpartition(":")
    die = interrupt if how == "int" else fault_point.die
    if point == "starting":
        note = JournalOfApply._write

        def begun(self: JournalOfApply, told: Note) -> None:
            note(self, told)
            if told.phase == "files":
                die()

        JournalOfApply._write = begun  # type: ignore[method-assign] # the fault that is wanted
    elif point == "fetching":
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
        written = going_back.journal

        def noted(*told: Any) -> None:
            written(*told)
            die()

        going_back.journal = noted
    else:
        step = Progress.step

        def ended(self: Progress, name: str, work: Callable[[], object], *, before: float = 0.0) -> None:
            fresh = not self.journal.has(name)
            step(self, name, work, before=before)
            if fresh and name == point:
                die()

        Progress.step = ended  # type: ignore[method-assign] # the fault that is wanted


if __name__ == "__main__":
    arm(sys.argv[1])
    assert shutil.which("restic")
    from techsapo_ops.cli.main import main

    sys.argv = ["techsapo", *sys.argv[2:]]
    main()
