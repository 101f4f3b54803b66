"""Which machines a stack was brought up on, for commands without a spec: machines.json beside its state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.machine import Machine

NOTE = "machines.json"


def note_machines(state: Path, machines: Sequence[Machine]) -> None:
    """Note them, where they are others than before. Raises OpsError where that can't be written."""
    if noted_machines(state) != tuple(machines):
        text = json.dumps([asdict(machine) for machine in machines], indent=1)
        write_atomic(state / NOTE, text.encode(), 0o600)


def noted_machines(state: Path) -> tuple[Machine, ...]:
    """Those of the last apply; none before the first. Raises OpsError for a damaged note."""
    try:
        return tuple(Machine(**entry) for entry in json.loads((state / NOTE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError):
        raise OpsError(
            msg("{path} is damaged", path=state / NOTE),
            msg("remove it and run `techsapo up`, which writes it anew"),
        ) from None
