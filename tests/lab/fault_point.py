"""Runs `techsapo` and kills it with SIGKILL at one exact point: `python fault_point.py POINT COMMAND…`.

With `full:POINT` it is not killed: the ledger's disk, a small one of its own, is full from there on.
A point is a moment of the apply's journal (`begun`, `files`, …), `recorded` (between the record and the end
of the journal's entry), `writing` (between two renames of generated files), `weights` (a file of learnt
weights was written, and nothing else), or one of fault_point_swarm.py.
The product knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fault_point_swarm

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.apply import generate, ledger, weights
from techsapo_ops.cli.app import calibrate
from techsapo_ops.stack.journal import Entry, Journal

MOMENTS = {
    "begun": ("", False),
    "files": ("prepare", False),
    "prepared": ("services", False),
    "services": ("services", True),
}
"""The step that the journal says, and whether a service was changed; of any other point it is that step."""


def die() -> None:
    """As by kill -9: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _then_die(write: Callable[..., None]) -> Callable[..., None]:
    def written(*arguments: Any) -> None:
        write(*arguments)
        die()

    return written


def fill(folder: Path) -> None:
    """Leave no room on the disk of `folder`."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


def arm(point: str) -> None:
    """Make this process die, or find a full disk, at `point`."""
    if point == "recorded":
        record = ledger.Ledger.record

        def recorded(self: ledger.Ledger, entry: ledger.LedgerEntry) -> None:
            record(self, entry)
            die()

        ledger.Ledger.record = recorded  # type: ignore[method-assign] # the fault that is wanted
        return
    if point == "weights":
        for module in (calibrate, weights):
            module.write_atomic = _then_die(write_atomic)  # type: ignore[attr-defined] # the wanted fault
        return
    if point == "writing":
        replace = os.replace
        count = 0

        class Renaming:
            """`os` as generate sees it, dying at the second rename."""

            def __getattr__(self, name: str) -> Any:
                return getattr(os, name)

            def replace(self, source: Any, target: Any) -> None:
                nonlocal count
                count += 1
                if count > 1:
                    die()
                replace(source, target)

        generate.os = Renaming()  # type: ignore[attr-defined] # the fault that is wanted
        return
    if point.partition(":")[0] in {"loading", "configs", "changed", "going"}:
        fault_point_swarm.arm(point, die)
        return
    write = Journal._write
    full, _, moment = point.rpartition(":")

    def written(self: Journal[Any], entry: Entry[Any]) -> None:
        write(self, entry)
        step, changed = MOMENTS.get(moment, (moment, bool(entry.done)))
        if (self.path.stem, entry.step, bool(entry.done)) != ("apply", step, changed):
            return
        if full:
            fill(self.path.parents[1] / "ledger")
        else:
            die()

    Journal._write = written  # type: ignore[method-assign] # the fault that is wanted


if __name__ == "__main__":
    arm(sys.argv[1])
    from techsapo_ops.cli.main import main

    sys.argv = ["techsapo", *sys.argv[2:]]
    main()
