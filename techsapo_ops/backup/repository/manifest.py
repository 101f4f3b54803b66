"""What a backup says of itself, and by that whether a source shrank since the backup before."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.adapters.chain import Head
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.description import members, reading
from techsapo_ops.messages import msg
from techsapo_ops.stack import shapes
from techsapo_ops.stack.backup import Amount, Part, Shrink, Unit

VERSION = 1
"""Of the manifest's form; a newer one is refused."""
SAFETY_TAG = "before-restore"
"""Tag of the backup that a restore makes of what was there before."""
LAST_SEQUENCE = 2**63 - 1
"""The highest that `sequence` may be."""
LONGEST = 64 * 1024 * 1024
"""Bytes of a manifest: as many as the names and digests of all files that a configuration may have."""
_KIND = re.compile(r"[a-z]{1,40}(:[A-Za-z0-9._-]{1,100})?")
_FIRST_YEAR, _LAST_YEAR = 1971, 2199
"""Years whose times exist in every zone, and as seconds."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. `sequence` orders backups, whatever the clock says; times are UTC."""

    id: str
    sequence: int
    project: str
    engine: str
    tool: str
    started: datetime
    ended: datetime
    parts: tuple[Part, ...]
    tag: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Sources that were not backed up, and why."""
    shrunk: tuple[Shrink, ...] = ()
    """Sources with less than half of what they had in the backup before."""
    administration: Head | None = None
    """The last record of administration when the backup began, see operations.administration."""

    @classmethod
    def draft(
        cls, project: str, engine: str, tag: str = "", left_out: Mapping[str, str] | None = None
    ) -> Manifest:
        """What is known of a backup before it begins."""
        now = datetime.now(UTC)
        return cls("", 0, project, engine, __version__, now, now, (), tag, left_out or {})

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of its parts."""
        return tuple(part.kind for part in self.parts)

    def part(self, kind: str) -> Part | None:
        """The part of that kind."""
        return next((part for part in self.parts if part.kind == kind), None)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON data."""
        return {
            "version": VERSION,
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "parts": [asdict(part) for part in self.parts],
            "shrunk": [asdict(each) for each in self.shrunk],
            "administration": asdict(self.administration) if self.administration is not None else None,
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
        }

    def text(self) -> str:
        """The manifest as it is written."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n"


def read(data: bytes, where: str) -> Manifest:
    """The manifest of `data`. Raises OpsError for one that is damaged, too large, or of a newer form."""
    with reading(where, msg("this backup can't be trusted; use another one")):
        document = members(data, where, form=VERSION, shape=_WHOLE, longest=LONGEST)
        parts = tuple(_part(part) for part in document.pop("parts"))
        if len({part.kind for part in parts}) != len(parts) or len({part.file for part in parts}) != len(
            parts
        ):
            raise ValueError(where)
        shrunk = tuple(Shrink(**each) for each in document.pop("shrunk", ()))
        head = document.pop("administration", None)
        administration = Head(**head) if head is not None else None
        started, ended = (_time(document.pop(key)) for key in ("started", "ended"))
        return Manifest(
            **document,
            started=started,
            ended=ended,
            parts=parts,
            shrunk=shrunk,
            administration=administration,
        )


def _part(values: Mapping[str, Any]) -> Part:
    part = Part(**values)
    kind = registry.find(part.source)
    if kind is not None and not kind.fits(part.facts):
        raise ValueError(part.kind)
    return part


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(text)
    return moment


_PART = shapes.has(
    kind=lambda value: isinstance(value, str) and _KIND.fullmatch(value) is not None,
    file=shapes.file_name,
    bytes=shapes.count,
    raw_bytes=shapes.count,
    sha256=shapes.sha256,
    seconds=shapes.number,
    also={"server": shapes.text, "facts": lambda value: isinstance(value, dict)},
)
_SHRINK = shapes.has(
    source=shapes.text,
    unit=lambda value: value in ("rows", "keys", "bytes"),
    before=shapes.count,
    now=shapes.count,
    than=shapes.text,
)
_WHOLE = shapes.has(
    id=shapes.text,
    sequence=shapes.count,
    project=shapes.text,
    engine=shapes.text,
    tool=shapes.text,
    started=shapes.text,
    ended=shapes.text,
    parts=shapes.listed(_PART),
    also={
        "tag": shapes.text,
        "left_out": shapes.each(shapes.text),
        "shrunk": shapes.listed(_SHRINK),
        "administration": shapes.optional(shapes.has(sequence=shapes.count, hash=shapes.sha256)),
    },
)


LEAST: Mapping[Unit, int] = {"rows": 10, "keys": 10, "bytes": 64 * 1024}
"""A source that had less than this is too small to be compared: half of it comes and goes in normal use."""


def amount_of(part: Part) -> Amount:
    """How much a part holds, in the unit of its kind; bytes where this techsapo does not know the kind."""
    kind = registry.find(part.source)
    return kind.amount(part) if kind is not None else Amount("bytes", part.raw_bytes)


def shrinks(
    parts: Sequence[Part], earlier: Sequence[Manifest], accepted: Collection[str]
) -> tuple[Shrink, ...]:
    """Which of `parts` shrank since the backups `earlier`, oldest first; `accepted` are ids.

    Such a source has less than half of what it had: nobody notices a table that lost its rows until the last
    backup that had them is pruned. A source that shrank before, and that nobody accepted, is compared with
    what it was until then: two small backups in a row are no proof that all is well.
    """
    shrunk = []
    for part in parts:
        known = _reference(part.kind, earlier, accepted)
        now = amount_of(part)
        if known is None or known[1].unit != now.unit or known[1].count < LEAST[now.unit]:
            continue
        if 2 * now.count < known[1].count:
            shrunk.append(Shrink(part.kind, now.unit, known[1].count, now.count, known[0]))
    return tuple(shrunk)


def _reference(
    source: str, earlier: Sequence[Manifest], accepted: Collection[str]
) -> tuple[str, Amount] | None:
    for manifest in reversed(earlier):
        part = manifest.part(source)
        if part is None:
            continue
        for shrink in manifest.shrunk if manifest.id not in accepted else ():
            if shrink.source == source:
                return shrink.than, Amount(shrink.unit, shrink.before)
        return manifest.id, amount_of(part)
    return None


def unaccepted(manifests: Sequence[Manifest], accepted: Collection[str]) -> Iterator[tuple[Manifest, Shrink]]:
    """The sources that are shrunk in their newest backup, which nobody accepted, with that backup.

    `manifests` are oldest first, `accepted` ids.
    """
    newest = {part.kind: manifest for manifest in manifests for part in manifest.parts}
    for source, manifest in newest.items():
        if manifest.id not in accepted:
            yield from ((manifest, shrink) for shrink in manifest.shrunk if shrink.source == source)
