"""Prometheus's samples, by a snapshot of its own: https://prometheus.io/docs/prometheus/latest/querying/api/#snapshot"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.packed import PackedReader, PackedWriter, Stream
from techsapo_ops.adapters.pipes import Running
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.adapters.tarball import ArchiveError, entries
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.monitoring import Asked
from techsapo_ops.stack.backup import Door, Part, Progress

KIND = "prometheus"
SETTLED = 60.0
"""Seconds after which no sample of a moment comes any more: a scrape writes with the time that it began."""
_LISTED = 'for f in snapshots/*/; do [ -d "$f" ] && basename "$f"; done; true'
_METAS = 'for f in "snapshots/$1"/*/meta.json; do [ ! -e "$f" ] || cat "$f"; done'
_MOST_ENTRIES = 200_000
_LARGEST_META = 1024 * 1024
_MADE_WITHIN = 60.0
"""Longest time in seconds from the note of a snapshot to the time in its name."""
_WINDOW_MS = 12 * 3600 * 1000
"""Of so much time are samples read at once, in milliseconds."""


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """The samples of one Prometheus: `door` leads into its data folder, `api` to its API with a long timeout.

    `note` is a file that tells of a snapshot that is to be removed, also by the next run after a kill;
    `stall` is how many seconds tar may say nothing, `settled` see SETTLED.
    """

    door: Door
    api: Prometheus
    note: Path
    of: str = ""
    """Which of several it is; they differ by what each missed."""
    stall: float = 120.0
    settled: float = SETTLED
    kind: str = field(default=KIND, init=False)

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write the blocks of a snapshot into `folder`; the snapshot itself is gone afterwards.

        It is hard links to blocks that never change, and one new block of what was in memory. What is counted
        in it is asked of the live server, for a time that is over.
        """
        began = time.monotonic()
        self.sweep()
        made_by = f"Prometheus {self.api.version()}"
        at = round(time.time() - self.settled, 3)
        path = folder / f"prometheus-{stamp}.tar.zst"
        with self._snapshot() as name:
            blocks = self._blocks(name)
            counted = count(self.api, at)
            packing = self.door.command("tar", "-cf", "-", "-C", f"snapshots/{name}", ".")
            with Running(packing, read=True) as tar, PackedWriter(path, progress) as file:
                while data := tar.read(self.stall):
                    file.write(data)
                tar.finish()
        facts = {"blocks": blocks, "counted": counted} | ({"of": self.of} if self.of else {})
        return Part(
            KIND, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(time.monotonic() - began, 3), made_by, facts,
        )  # fmt: skip

    @contextmanager
    def _snapshot(self) -> Iterator[str]:
        noted: dict[str, Any] = {"at": time.time(), "before": self._listed(), "name": ""}
        self._write(noted)
        try:
            try:
                name = self.api.snapshot()
            except ApiError as error:
                raise _refused(error) from None
            self._write({**noted, "name": name})
            yield name
        finally:
            self.sweep()

    def sweep(self) -> None:
        """Remove the snapshot that a backup has made, or a killed one has left; none that is not ours."""
        if not self.note.exists():
            return
        noted = json.loads(read_text(self.note, what=msg("record of a snapshot")))
        for name in self._listed():
            ours = (
                noted["name"] == name
                if noted["name"]
                else name not in noted["before"] and _soon(name, noted["at"])
            )
            if ours:
                self._run("rm", "-rf", f"snapshots/{name}")
        self.note.unlink()

    def _write(self, noted: Mapping[str, Any]) -> None:
        write_json(self.note, noted)

    def _listed(self) -> list[str]:
        return self._run("sh", "-c", _LISTED).decode().split()

    def _blocks(self, name: str) -> dict[str, dict[str, int]]:
        text = self._run("sh", "-c", _METAS, "sh", name).decode()
        blocks, at = {}, 0
        while at < len(text):
            meta, at = json.JSONDecoder().raw_decode(text, at)
            at += len(text[at:]) - len(text[at:].lstrip())
            blocks[meta["ulid"]] = {
                "min_time": meta["minTime"],
                "max_time": meta["maxTime"],
                "series": meta["stats"].get("numSeries", 0),
                "samples": meta["stats"].get("numSamples", 0),
            }
        return blocks

    def _run(self, program: str, *arguments: str) -> bytes:
        done = self.door.run(program, *arguments, timeout=600.0)
        if done.code != 0:
            raise OpsError(
                msg("{program} failed in Prometheus's folder: {output}", program=program, output=done.output)
            )
        return done.stdout


def _soon(name: str, at: float) -> bool:
    """Whether a snapshot of this name was made when `at` (Unix seconds) was noted."""
    try:
        made = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return False
    return at - 1 <= made <= at + _MADE_WITHIN


def _refused(error: ApiError) -> OpsError:
    if "admin APIs disabled" in error.message:
        return OpsError(
            msg("Prometheus runs without its admin API"),
            msg("`techsapo up` restarts Prometheus with the admin API, which backup.prometheus needs"),
        )
    full = "no space left" in error.message
    hint = (
        msg("the disk of Prometheus is full: a snapshot needs room for the samples in memory")
        if full
        else msg("`techsapo logs prometheus` may show why")
    )
    return OpsError(msg("Prometheus made no snapshot: {message}", message=error.message), hint)


def count(api: Asked, at: float) -> dict[str, float]:
    """Series at the time `at` (Unix seconds), and scrapes in the day before."""
    series = api.query(f'count({{__name__=~".+"}} @ {at:.3f})')
    scrapes = api.query(f"sum(count_over_time(up[1d] @ {at:.3f}))")
    return {
        "time": at,
        "series": series[0].value if series else 0,
        "scrapes": scrapes[0].value if scrapes else 0,
    }


def check(part: Part, reader: PackedReader) -> list[str]:
    """What is wrong with a snapshot's archive: blocks that are missing, or have another meta.json."""
    wanted: Mapping[str, Mapping[str, int]] = part.facts["blocks"]
    files: dict[str, set[str]] = {}
    wrong = []
    try:
        for entry, content in entries(Stream(reader), _MOST_ENTRIES):
            block, _, inside = entry.name.partition("/")
            files.setdefault(block, set()).add(inside)
            if block in wanted and inside == "meta.json" and not entry.folder:
                if entry.size > _LARGEST_META:
                    return [
                        msg(
                            "the meta.json of block {block} is too large: {size} bytes",
                            block=block,
                            size=entry.size,
                        )
                    ]
                samples = json.loads(b"".join(content))["stats"].get("numSamples", 0)
                if samples != wanted[block]["samples"]:
                    wrong.append(
                        msg(
                            "block {block} holds {samples} samples, not {expected}",
                            block=block,
                            samples=samples,
                            expected=wanted[block]["samples"],
                        )
                    )
    except (ArchiveError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [msg("the archive can't be listed: {error}", error=error)]
    whole = {"meta.json", "index", "chunks/000001"}
    return wrong + [
        msg("block {block} is incomplete", block=block)
        for block in wanted
        if not whole <= files.get(block, set())
    ]


def unpack(reader: PackedReader, target: Path, progress: Progress) -> None:
    """Unpack a snapshot into the folder `target`, which is there and empty. Raises OpsError."""
    try:
        for entry, content in entries(Stream(reader), _MOST_ENTRIES):
            path = target / entry.name
            (path if entry.folder else path.parent).mkdir(parents=True, exist_ok=True)
            if not entry.folder:
                with path.open("xb") as file:
                    file.writelines(content)
                path.chmod(entry.mode | 0o600)
            progress(reader.raw_bytes)
    except ArchiveError as error:
        raise OpsError(
            msg("cannot unpack {path}: {error}", path=reader.path, error=error), msg("use another backup")
        ) from None
    except OSError as error:
        raise OpsError(
            msg("cannot unpack {path} into {target}: {error}", path=reader.path, target=target, error=error),
            msg("is the disk full?"),
        ) from None


def differences(facts: Mapping[str, Any], api: Asked) -> list[str]:
    """How what is counted now differs from what was at the moment of the dump."""
    was = facts["counted"]
    try:
        current = count(api, float(was["time"]))
    except ApiError as error:
        return [msg("the data of Prometheus can't be queried: {message}", message=error.message)]
    when = datetime.fromtimestamp(float(was["time"]), UTC)
    wrong = []
    if (series := current["series"]) != was["series"]:
        wrong.append(
            msg(
                "{found:,.0f} series at {when:%Y-%m-%d %H:%M:%S} UTC, not {was:,.0f}",
                found=series,
                when=when,
                was=was["series"],
            )
        )
    if (scrapes := current["scrapes"]) != was["scrapes"]:
        wrong.append(
            msg(
                "{found:,.0f} scrapes in the day before {when:%Y-%m-%d %H:%M:%S} UTC, not {was:,.0f}",
                found=scrapes,
                when=when,
                was=was["scrapes"],
            )
        )
    return wrong


def read_through(facts: Mapping[str, Any], api: Asked) -> list[str]:
    """What a Prometheus on the blocks alone finds wrong when every sample of every block is read once."""
    blocks: Mapping[str, Mapping[str, int]] = facts["blocks"]
    wrong = []
    loaded = api.own("prometheus_tsdb_blocks_loaded")
    if loaded != len(blocks):
        wrong.append(
            msg("{loaded:.0f} blocks can be loaded, not {count}", loaded=loaded or 0, count=len(blocks))
        )
    for name, block in blocks.items():
        try:
            samples = [
                sample
                for asked in readings(block["min_time"], block["max_time"])
                for sample in api.query(asked)
            ]
        except ApiError as error:
            wrong.append(
                msg(
                    "block {name} can't be read: {partition}",
                    name=name,
                    partition=error.message.partition(": ")[2],
                )
            )
            continue
        if block["samples"] and not samples:
            wrong.append(msg("block {name} has no readable samples", name=name))
    return wrong


def readings(first: int, end: int) -> list[str]:
    """Expressions that read every sample from `first` until before `end` (milliseconds) between them.

    A window of half a day each, so that what is read at once, and how long that takes, has a bound.
    Prometheus 3 leaves out the very start of a window and Prometheus 2 does not: the first one begins a
    millisecond before `first`.
    """
    starts = range(first - 1, end, _WINDOW_MS)
    ends = [*starts[1:], end]
    return [
        f'count(last_over_time({{__name__=~".+"}}[{until - since}ms] @ {until / 1000:.3f}))'
        for since, until in zip(starts, ends, strict=True)
    ]
