"""Grafana's database: fetched from off-site, swapped in by a rename while Grafana is stopped."""

from __future__ import annotations

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.bring_back import Live, Told
from techsapo_ops.operations.backup.offsite import grafana_copy
from techsapo_ops.operations.backup.sources import Stack, grafana_database


class LiveGrafana(Live):
    """See Live."""

    named_only = True
    stops_app = False
    restarts = True
    beside = True
    offsite = True

    def elsewhere(self, stack: Stack, backup: Backup) -> Part | None:
        """See Live. It is fetched and opened; what is fetched is gone again when this returns."""
        with grafana_copy(stack, backup) as (_, part):
            return part

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        """See Live; the copy's own version, since Grafana brings an SQLite of its own."""
        found = grafana_database(stack).look()
        if found is None:
            return part.server, ""
        rows = sum(table["rows"] for table in found["tables"].values())
        return part.server, f"{rows:,} rows in {len(found['tables'])} tables"

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live. It is fetched before Grafana is stopped."""
        with grafana_copy(stack, backup) as (path, found):
            if found.sha256 != part.sha256:
                raise OpsError("another copy of Grafana's database came than a moment ago", "try again")
            stack.engine.halt("grafana")
            copy = PackedReader(path, limit=found.raw_bytes, expected=found.sha256)
            grafana_database(stack).put(copy, found, lambda count: told("grafana", count))
        stack.engine.restart("grafana")

    def differences(self, stack: Stack, part: Part) -> list[str]:  # noqa: ARG002 - see below
        """See Live. Grafana migrates and writes into it as soon as it starts, so its rows are not compared:
        the file was whole when it was put there, and Grafana became ready on it.
        """
        return [] if grafana_database(stack).look() is not None else ["it is not there"]

    def back(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        stack.engine.halt("grafana")
        grafana_database(stack).run("back")
        stack.engine.restart("grafana")

    def done(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        grafana_database(stack).run("done")
