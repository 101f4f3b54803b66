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

from techsapo_ops.backup.recover import run
from techsapo_ops.backup.recover.journal import RecoveryJournal
from techsapo_ops.backup.repository.restic import Restic
from techsapo_ops.stack.journal import Entry, Journal


def interrupt() -> None:
    """As by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may have it ignored
    os.kill(os.getpid(), signal.SIGINT)


def arm(point: str) -> None:
    """Make this process die at `point`, or be interrupted there."""
    how, _, point = point.rpartition(":")
    die = interrupt if how == "int" else fault_point.die
    if point in {"starting", "restoring"}:
        moment = ("apply", "prepare") if point == "starting" else ("restore", "replace")
        write = Journal._write

        def written(self: Journal[Any], entry: Entry[Any]) -> None:
            write(self, entry)
            if (self.path.stem, entry.step) == moment:
                die()

        Journal._write = written  # type: ignore[method-assign] # the fault that is wanted
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
            if point == "placing" or placement.item.what == "backup":
                die()
            return links

        run.put = placed
    else:
        step = RecoveryJournal.step

        def ended(
            self: RecoveryJournal, name: str, work: Callable[[], object], *, before: float = 0.0
        ) -> None:
            fresh = name not in self.under_way.done
            step(self, name, work, before=before)
            if fresh and name == point:
                die()

        RecoveryJournal.step = ended  # type: ignore[method-assign] # the fault that is wanted


if __name__ == "__main__":
    arm(sys.argv[1])
    assert shutil.which("restic")
    from techsapo_ops.cli.main import main

    sys.argv = ["techsapo", *sys.argv[2:]]
    main()
