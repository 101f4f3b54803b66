"""Prometheus's samples: a snapshot of its own, swapped in for its folder's content while it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.adapters.pipes import Running, pour
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.monitoring import api, first_reached, scratch_api
from techsapo_ops.services.prometheus import snapshot
from techsapo_ops.stack.backup import BackupKind, Door, Part, Progress, Source, Trial
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.shapes import count, each, has, member, number
from techsapo_ops.stack.step import Action, Step

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack

_LATEST = 4_102_444_800
"""Unix seconds of 2100-01-01."""
_LONGEST_BLOCK_MS = 50 * 366 * 24 * 3600 * 1000

# Everything is unpacked before anything that is there moves, and by a command of its own: tar may take an
# archive for whole whose end, and with it the digest, has not come. Flushed, or a power cut would leave empty
# blocks under their names; the `sync` of an image may take none.
_UNPACK = """set -e
rm -rf .restoring .before-restore .before-restore.whole
mkdir .restoring .before-restore
tar -xf - -C .restoring
sync -f . 2>/dev/null || sync
"""
# `.before-restore.whole` says that all of it has moved away, so that what lies in its place is the
# backup's and may go.
_SWAP = """set -e
for each in *; do [ ! -e "$each" ] || mv "$each" .before-restore/; done
: > .before-restore.whole
for each in .restoring/*; do [ ! -e "$each" ] || mv "$each" .; done
rmdir .restoring
sync . 2>/dev/null || sync
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


def _block(value: Any) -> bool:
    return (
        has(min_time=number, max_time=number, samples=count)(value)
        and value["max_time"] - value["min_time"] <= _LONGEST_BLOCK_MS
    )


def _moment(value: Any) -> bool:
    return number(value) and 0 <= value <= _LATEST


_FACTS = has(blocks=each(_block, member), counted=has(time=_moment, series=number, scrapes=number))


class PrometheusBackup(BackupKind):
    """The samples of the stack's Prometheus. `settled` is that of the source."""

    name = snapshot.KIND
    title = "Prometheus's samples"
    by_name_only = True
    restarts = True
    keeps_replaced = True
    throwaway = "prometheus"
    settled = snapshot.SETTLED

    @override
    def sources(self, stack: Stack) -> Sequence[Source] | str:
        if not stack.topology.has("prometheus"):
            return msg("this stack has no Prometheus")
        if not stack.spec.backup.prometheus:
            return msg("backup.prometheus is off")
        return [self._source(stack)]

    @override
    def tidy(self, stack: Stack) -> None:
        # Without its container there is no way to its volume: a later backup does it.
        if stack.topology.has("prometheus"):
            source = self._source(stack)
            if source.note.exists() and stack.engine.reaches(_server(stack)):
                source.sweep()

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    @override
    def describe(self, part: Part) -> str:
        blocks = part.facts["blocks"]
        return msg(
            "{samples:,} samples in {blocks} blocks",
            samples=sum(block["samples"] for block in blocks.values()),
            blocks=len(blocks),
        )

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        return snapshot.check(part, reader)

    @override
    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        began = monotonic()
        try:
            with self.restored(stack, part, reader, progress) as scratch:
                seconds = monotonic() - began
                asked = scratch_api(scratch)
                wrong = snapshot.differences(part.facts, asked) + snapshot.read_through(part.facts, asked)
        except GateError as error:
            return Trial((msg("Prometheus does not start with this data: {message}", message=error.message),))
        return Trial(wrong, seconds)

    @override
    @contextmanager
    def restored(
        self, stack: Stack, part: Part, reader: PackedReader, progress: Progress
    ) -> Iterator[Scratch]:
        with stack.engine.scratch(_server(stack), seed=_seed(reader, progress)) as scratch:
            yield scratch

    @override
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        # What one that does not answer has can't be put aside first.
        asked = api(stack)
        try:
            version = asked.version()
        except Unreachable as error:
            away = stack.engine.removal(_server(stack))
            raise OpsError(
                msg("prometheus: {message}\nnothing was touched", message=error.message),
                msg("if Prometheus's data is damaged: {away}, run `techsapo up`, then restore", away=away),
            ) from None
        blocks = asked.own("prometheus_tsdb_blocks_loaded") or 0
        series = asked.own(_RAN) or 0
        return f"Prometheus {version}", f"{series:,.0f} series and {blocks:.0f} older blocks"

    @override
    def require(self, stack: Stack, part: Part, reader: PackedReader) -> None:
        if not stack.spec.backup.prometheus:
            raise OpsError(
                msg(
                    "backup.prometheus is off, so the current data of Prometheus can't be backed up first\n"
                    "nothing was touched"
                ),
                msg("turn backup.prometheus on, run `techsapo up`, then restore"),
            )

    @override
    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        stack.engine.halt(_server(stack))
        with Running(_shell(stack, _UNPACK), feed=True) as shell:
            pour(reader, shell, progress)
            shell.finish()
        _run(stack, _SWAP)
        Step(Action.RESTART, _server(stack), msg("it was restored")).perform(stack.engine)

    @override
    def differences(self, stack: Stack, part: Part) -> list[str]:
        from techsapo_ops.spec.models.base import seconds

        age = datetime.now(UTC).timestamp() - float(part.facts["counted"]["time"])
        if age > seconds(stack.spec.monitoring.prometheus.retention):
            return []  # it keeps nothing so old
        return snapshot.differences(part.facts, api(stack))

    @override
    def put_back(self, stack: Stack, kind: str) -> None:
        stack.engine.halt(_server(stack))
        _run(stack, _BACK)
        Step(Action.RESTART, _server(stack), msg("it was restored")).perform(stack.engine)

    @override
    def forget(self, stack: Stack, kind: str) -> None:
        _run(stack, _DONE)

    def _source(self, stack: Stack) -> snapshot.PrometheusSource:
        door = Door(stack.runner, lambda command: stack.engine.beside(_server(stack), command))
        server, (first, *others) = _server(stack), [s.name for s in stack.topology.of_kind("prometheus")]
        name = "prometheus-snapshot.json" if server == first else f"{server}-snapshot.json"
        of = server if others else ""
        return snapshot.PrometheusSource(
            door, api(stack), stack.layout.state / name, of, settled=self.settled
        )


def _seed(reader: PackedReader, progress: Progress) -> Callable[[Path], None]:
    """Puts the blocks of a part where a throwaway Prometheus looks for them."""

    def seed(folder: Path) -> None:
        (folder / "data").mkdir(mode=0o750)
        snapshot.unpack(reader, folder / "data", progress)

    return seed


def _run(stack: Stack, script: str) -> None:
    with Running(_shell(stack, script)) as shell:
        shell.finish()


def _shell(stack: Stack, script: str) -> Command:
    return stack.engine.beside(_server(stack), Command(("sh", "-c", script)))


def _server(stack: Stack) -> str:
    """The one that is backed up and restored: of several the first whose machine answers."""
    return first_reached(stack, "prometheus").name


BACKUP = PrometheusBackup()
