"""What Prometheus is told of an apply, through node exporter's textfile collector, for charts and alerts."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.ledger_entry import LedgerEntry
from techsapo_ops.stack.layout import Layout

NAME = "apply"
"""Name of the file and value of its label `name`."""


def tell_prometheus(entry: LedgerEntry, layout: Layout, warn: Callable[[str], None]) -> None:
    """Leave the newest apply in place of the one before, which Prometheus keeps.

    The apply is done and recorded: where it can't be told, `warn` says so.
    """
    labels = {
        "number": str(entry.id), "user": entry.user, "command": entry.command, "result": entry.result,
        "files": str(len(entry.files)),
    }  # fmt: skip
    ended = entry.time.timestamp() + entry.seconds
    samples = [
        Sample("techsapo_apply_timestamp_seconds", ended, labels),
        Sample("techsapo_apply_duration_seconds", entry.seconds, {"number": str(entry.id)}),
    ]
    try:
        write_textfile(layout.textfiles, NAME, samples)
    except OpsError as error:
        warn(msg("the dashboards will not mark this apply: {message}", message=error.message))
