"""What the journal holds of a restore: all that going back from it needs, on any host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.stack.journal import Entry, Journal, Operation
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.shapes import count, each, has, listed, text


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a restore replaces: the backup of what was there before, and the services that it stopped.

    `safety` is empty where nothing was there.
    """

    safety: str
    kinds: tuple[str, ...]
    apps: tuple[str, ...]
    spent: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By kind, what was spent before, by what the kind calls it: what comes back may say no less."""


def restore_journal(layout: Layout) -> Journal[Replaced]:
    """The journal of restores."""
    return Journal(layout, Operation.RESTORE, _thawed)


def interrupted(layout: Layout) -> Entry[Replaced] | None:
    """The restore that did not end, if there is one. Raises OpsError for an entry that can't be read."""
    return restore_journal(layout).read()


_SHAPE = has(safety=text, kinds=listed(text), apps=listed(text), spent=each(each(count)))


def _thawed(facts: Any) -> Replaced:
    if not _SHAPE(facts):
        raise ValueError(facts)
    return Replaced(facts["safety"], tuple(facts["kinds"]), tuple(facts["apps"]), facts["spent"])
