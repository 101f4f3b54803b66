"""Looks at what one of a kind alone may have: of several machines exactly one has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.health import HealthPart, PartStatus


def with_one_of_each(parts: Sequence[HealthPart]) -> list[HealthPart]:
    """`parts`, where several have what one alone may have, or each of a kind was asked and none has it."""
    wrong: dict[str, str] = {}
    for kind in {part.kind for part in parts if part.sole is not None}:
        alike = [part for part in parts if part.kind == kind]
        having = [part.name for part in alike if part.sole]
        if len(having) > 1:
            wrong |= {name: _also(each for each in having if each != name) for name in having}
        elif not having and all(part.sole is False for part in alike):
            wrong |= {part.name: msg("and none of the others has it") for part in alike}
    return [
        replace(part, status=PartStatus.DEGRADED, detail=joined("; ", (part.detail, wrong[part.name])))
        if part.name in wrong and part.status is PartStatus.HEALTHY
        else part
        for part in parts
    ]


def _also(others: Iterable[str]) -> str:
    return msg("and so is or has {others}, where one alone should", others=", ".join(others))
