"""The one line that a plan ends with, and the same as counts for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.messages import Message, joined, msg, template

if TYPE_CHECKING:
    from techsapo_ops.operations.apply.difference import Difference
    from techsapo_ops.operations.apply.plan import StackPlan

Summary = Mapping[str, Mapping[str, int]]
"""How many `files` and `services` there are of each kind of change; a kind without any has 0."""

_REMOVALS = ("removed", "remove")
_FILES = {
    "removed": template("{count} to remove"),
    "added": template("{count} to add"),
    "changed": template("{count} to change"),
    "edited": template("{count} edited by hand"),
}
_SERVICES = {
    "remove": template("{count} to remove"),
    "create": template("{count} to start"),
    "recreate": template("{count} to start anew"),
    "restart": template("{count} to restart"),
    "reload": template("{count} to reload"),
    "nothing": template("{count} unchanged"),
}
_DIFFERENCES = {
    "removed": template("{count} removed"),
    "added": template("{count} added"),
    "changed": template("{count} changed"),
}
"""Each in the order in which they are told: what goes away first."""


def plan_summary(plan: StackPlan) -> Summary:
    """What a plan would change."""
    return {
        "files": _counts(_FILES, (str(change.kind) for change in plan.files)),
        "services": _counts(_SERVICES, (str(step.action) for step in plan.steps.steps)),
    }


def plan_line(plan: StackPlan) -> str:
    """`files: 3 to change; services: 1 to restart, 6 unchanged; nothing removed`."""
    return _line(plan_summary(plan), _FILES, _SERVICES)


def difference_summary(found: Difference) -> Summary:
    """What differs from an earlier apply."""
    known = {"removed", "added"}
    return {
        "files": _counts(_DIFFERENCES, (change.kind for change in found.files)),
        "services": _counts(_DIFFERENCES, (s.what if s.what in known else "changed" for s in found.services)),
    }


def difference_line(found: Difference) -> str:
    """`files: 1 added, 2 changed; services: 1 changed; nothing removed`."""
    return _line(difference_summary(found), _DIFFERENCES, _DIFFERENCES)


def _counts(kinds: Iterable[str], found: Iterable[str]) -> dict[str, int]:
    counted = Counter(found)
    return {kind: counted[kind] for kind in kinds}


def _line(summary: Summary, files: Mapping[str, str], services: Mapping[str, str]) -> str:
    parts: list[str] = []
    for what, heading, words in (
        ("files", template("files: {told}"), files), ("services", template("services: {told}"), services),
    ):  # fmt: skip
        told = [Message(words[kind], {"count": count}) for kind, count in summary[what].items() if count]
        if told:
            parts.append(Message(heading, {"told": joined(", ", told)}))
    if not any(counts.get(kind) for counts in summary.values() for kind in _REMOVALS):
        parts.append(msg("nothing removed"))
    return joined("; ", parts)
