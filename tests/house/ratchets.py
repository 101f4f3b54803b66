"""Every counter with its goal and its ceiling of today, both from ceilings.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.catalogue.yaml_text import read_yaml
from tests.house.imports import commands_imported, import_circles
from tests.house.machines import machine_tests
from tests.house.names import engine_tests, kind_names, redis_files
from tests.house.said import bare_texts
from tests.house.shape import long_files
from tests.house.signatures import long_signatures
from tests.house.source import Package, Place

Counter = Callable[[Package], Iterator[Place]]
CEILINGS = Path(__file__).with_name("ceilings.yaml")
COUNTERS: dict[str, Counter] = {
    counter.__name__: counter
    for counter in (
        kind_names,
        engine_tests,
        machine_tests,
        redis_files,
        long_signatures,
        import_circles,
        long_files,
        commands_imported,
        bare_texts,
    )
}


@dataclass(frozen=True)
class Limit:
    """What a counter is to come to, and where it stands."""

    goal: int
    ceiling: int


def limits() -> dict[str, Limit]:
    """The limits by counter."""
    read = read_yaml(CEILINGS.read_text(encoding="utf-8"))
    return {name: Limit(**limit) for name, limit in read.items()}


def lower(counts: dict[str, int]) -> list[str]:
    """Lower the ceilings that are above the counts, not below their goals; the names of those that were."""
    goals = {name: limit.goal for name, limit in limits().items()}
    lines, lowered, name = [], [], ""
    for line in CEILINGS.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "# ":
            name = line.partition(":")[0]
        key, _, value = line.partition("ceiling: ")
        if value and (least := max(counts[name], goals[name])) < int(value):
            lowered.append(name)
            line = f"{key}ceiling: {least}"
        lines.append(line)
    CEILINGS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lowered
