"""The configs and secrets of a stack that no service has any more: each change leaves the ones before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.json_files import write_json

NOTE = "objects.json"
"""In the state directory: names of the last two generations, by kind."""
_KINDS = {"configs": "config", "secrets": "secret"}


def prune(fleet: Fleet, state: Path, project: str, now: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Remove those that are neither of `now` nor of the apply before it, to which Swarm itself may go back.

    `now` has the names of all that the stack uses, by kind. Returns the names removed; one that a service
    still has is refused by Swarm and stays. Raises OpsError where no manager answers.
    """
    known = _noted(state / NOTE)
    last = known[-1] if known else {}
    current = {kind: sorted(names) for kind, names in now.items()}
    generations = known if last == current else [*known[-1:], current]
    kept = {kind: {name for each in generations for name in each.get(kind, ())} for kind in _KINDS}
    removed: list[str] = []
    manager, label = fleet.manager, ("--filter", f"label={STACK}={project}", "--format", "{{.Name}}")
    with ThreadPoolExecutor(len(_KINDS)) as pool:
        listed = list(pool.map(lambda word: manager.call(word, "ls", *label).split(), _KINDS.values()))
    for (kind, word), there in zip(_KINDS.items(), listed, strict=True):
        unused = sorted(set(there) - kept[kind])
        removed += [name for name in unused if manager.attempt(word, "rm", name).code == 0]
    if generations != known:
        write_json(state / NOTE, generations)
    return tuple(removed)


def _noted(note: Path) -> list[dict[str, list[str]]]:
    with suppress(FileNotFoundError, ValueError):  # what is not known is not kept for going back
        found = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(found, list):
            return found
    return []
