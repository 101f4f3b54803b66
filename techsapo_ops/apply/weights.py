"""The user's file of learnt weights, which a rollback takes along: else the next `up` would undo it."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.apply.history import History
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import CALIBRATION, calibration_file


class WeightsBack:
    """Brings the file to what `target` rendered, and back again.

    It is touched only where it is what is applied now, or what an `interrupted` apply wanted: an edit that
    was never applied would be lost.
    """

    def __init__(self, history: History, target: Snapshot, interrupted: Snapshot | None) -> None:
        named = target.desired.topology.spec.wallbounce.calibration
        self._file = calibration_file(named or CALIBRATION, history.layout)
        self._then = _rendered(target) if named is not None else None
        self._now = _content(self._file)
        self._applied = _content(history.layout.config / CALIBRATION)
        self._known = {self._applied, _rendered(interrupted) if interrupted is not None else None}

    def write(self) -> str:
        """Write the file, before anything is applied: killed later, the next `up` keeps to the rollback.

        Returns what is to be said of it, "" for nothing. Raises OpsError.
        """
        if self._then is None:
            return "" if self._applied is None else msg(
                "that apply used no calibrated weights. If the spec still sets wallbounce.calibration, the "
                "next `techsapo up` uses that file again")  # fmt: skip
        if self._now == self._then or self._now is None:
            return ""
        if self._now not in self._known:
            return msg("{file} was changed since it was applied, and stays as it is: the next `techsapo up` "
                       "applies it", file=self._file)  # fmt: skip
        write_atomic(self._file, self._then)
        return msg("restored {file} to the weights of that apply", file=self._file)

    def undo(self) -> None:
        """Put back what was there, where the rollback failed. Raises OpsError."""
        if self._then is not None and self._now is not None and self._now in self._known:
            write_atomic(self._file, self._now)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _rendered(snapshot: Snapshot) -> bytes | None:
    return next((f.content.encode() for f in snapshot.desired.files if f.path == CALIBRATION), None)
