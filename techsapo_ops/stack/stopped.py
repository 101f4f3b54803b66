"""Services that somebody has stopped and that stay so, over `up` too, until `techsapo start`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

NOTE = "stopped.json"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Who stopped a service, and when."""

    by: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """As it is noted."""
        return {"by": self.by, "since": self.since.isoformat(timespec="seconds")}

    def __str__(self) -> str:
        return msg("stopped by {by} at {since:%Y-%m-%d %H:%M} UTC", by=self.by, since=self.since)


def stopped_of(layout: Layout) -> dict[str, Stopped]:
    """Those of the stack, by name. Raises OpsError for a note that can't be read."""

    def made(value: Any) -> dict[str, Stopped]:
        return {
            str(name): Stopped(str(told["by"]), datetime.fromisoformat(told["since"]))
            for name, told in value.items()
        }

    return read_json(
        _note(layout), made, empty={}, remedy=msg("remove it; `techsapo up` then starts them all")
    )


def note_stopped(layout: Layout, stopped: Mapping[str, Stopped]) -> None:
    """Write down which stay stopped. Raises OpsError where that can't be written."""
    from techsapo_ops.adapters.files import remove_file

    if stopped:
        write_json(_note(layout), {name: each.to_json() for name, each in stopped.items()})
        return
    try:
        remove_file(_note(layout))
    except OSError as error:
        raise OpsError(
            msg("cannot remove {note}: {strerror}", note=_note(layout), strerror=error.strerror)
        ) from None


def _note(layout: Layout) -> Path:
    return layout.state / NOTE
