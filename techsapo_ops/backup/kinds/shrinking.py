"""Whether a source shrank: it has less than half of what it had in the backup before.

Nobody notices a table that lost its rows until the last backup that had them is pruned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.stack.backup import Amount, Part, Shrink, Unit

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

    A source that shrank before, and that nobody accepted, is compared with what it was until then: two small
    backups in a row are no proof that all is well.
    """
    found = []
    for part in parts:
        known = _reference(part.kind, earlier, accepted)
        now = amount_of(part)
        if known is None or known[1].unit != now.unit or known[1].count < LEAST[now.unit]:
            continue
        if 2 * now.count < known[1].count:
            found.append(Shrink(part.kind, now.unit, known[1].count, now.count, known[0]))
    return tuple(found)


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
