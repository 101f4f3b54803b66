"""Prometheus: stopped, its folder's content swapped for the backup's blocks, started."""

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.pipes import Running
from techsapo_ops.adapters.process import Command
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.bring_back import Live, Told
from techsapo_ops.operations.backup.sources import Stack, prometheus_api
from techsapo_ops.services.prometheus import backup as prometheus
from techsapo_ops.spec.models.base import seconds

# Everything is unpacked before anything that is there moves, and by a command of its own: tar may take an
# archive for whole whose end, and with it the digest, has not come.
_UNPACK = """set -e
rm -rf .restoring .before-restore .before-restore.whole
mkdir .restoring .before-restore
tar -xf - -C .restoring
"""
# `.before-restore.whole` says that all of it has moved away, so that what lies in its place is the
# backup's and may go.
_SWAP = """set -e
for each in *; do [ ! -e "$each" ] || mv "$each" .before-restore/; done
: > .before-restore.whole
for each in .restoring/*; do [ ! -e "$each" ] || mv "$each" .; done
rmdir .restoring
"""
_BACK = """set -e
rm -rf .restoring
if [ -e .before-restore.whole ]; then
  rm -rf ./*
  rm .before-restore.whole
fi
[ -d .before-restore ] || exit 0
for each in .before-restore/*; do [ ! -e "$each" ] || mv "$each" .; done
rmdir .before-restore
"""
_DONE = "rm -rf .before-restore.whole .before-restore"
_RAN = "prometheus_tsdb_head_series"


class LivePrometheus(Live):
    """See Live."""

    named_only = True
    stops_app = False
    restarts = True
    beside = True

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:  # noqa: ARG002 - see Live
        """See Live. Raises OpsError for one that does not answer: what it has can't be put aside first."""
        api = prometheus_api(stack)
        try:
            version = api.version()
        except Unreachable as error:
            away = "move .techsapo/data/prometheus away"
            if stack.topology.engine == "compose":
                away = f"`techsapo down` and `docker volume rm {stack.spec.project}_prometheus`"
            raise OpsError(
                f"prometheus: {error.message}\nnothing was touched",
                f"where its data is damaged, {away}, `techsapo up`, then restore",
            ) from None
        blocks = api.own("prometheus_tsdb_blocks_loaded") or 0
        series = api.own(_RAN) or 0
        return f"Prometheus {version}", f"{series:,.0f} series and {blocks:.0f} older blocks"

    def require(self, stack: Stack, backup: Backup, part: Part) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        if not stack.spec.backup.prometheus:
            raise OpsError(
                "what Prometheus has can't be put aside first: backup.prometheus is off\nnothing was touched",
                "turn it on, `techsapo up`, then restore",
            )

    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """See Live."""
        stack.engine.halt("prometheus")
        with Running(self._shell(stack, _UNPACK), feed=True) as shell:
            count = 0
            for data in backup.reader(part):
                shell.write(data)
                count += len(data)
                told("prometheus", count)
            shell.finish()
        with Running(self._shell(stack, _SWAP)) as shell:
            shell.finish()
        stack.engine.restart("prometheus")

    def differences(self, stack: Stack, part: Part) -> list[str]:
        """See Live; nothing is compared that is older than what Prometheus keeps."""
        age = datetime.now(UTC).timestamp() - float(part.facts["counted"]["time"])
        if age > seconds(stack.spec.monitoring.prometheus.retention):
            return []
        return prometheus.differences(part.facts, prometheus_api(stack))

    def back(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        stack.engine.halt("prometheus")
        with Running(self._shell(stack, _BACK)) as shell:
            shell.finish()
        stack.engine.restart("prometheus")

    def done(self, stack: Stack, kind: str) -> None:  # noqa: ARG002 - see Live
        """See Live."""
        with Running(self._shell(stack, _DONE)) as shell:
            shell.finish()

    @staticmethod
    def _shell(stack: Stack, script: str) -> Command:
        return stack.engine.beside("prometheus", Command(("sh", "-c", script)))
