"""What a vendor's own list of models says of one: whether it is there, and when it ends.

Lists: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models,
https://ai.google.dev/api/models, https://openrouter.ai/docs/api-reference. Asking costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

LONGEST_LIST = 8 * 1024 * 1024
"""Most bytes of a list; OpenRouter's holds hundreds of models with their descriptions."""
_NAMED = 5
"""Most names of other models that are reported where one is missing."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a vendor's list says of a model.

    `exists` is None where the vendor has no list, `tells_ends` says whether its list could name an end.
    `others` are some of the names that it holds where the model is missing.
    """

    exists: bool | None
    tells_ends: bool = False
    retires: date | None = None
    others: tuple[str, ...] = ()


NO_LIST = Listed(None)


def listed_alone(entry: Any, named_at: str, end_at: str) -> Listed:
    """What the `entry` of the model itself says, by the fields of its name and of its end.

    Anthropic lists retired models too.
    """
    there = bool(entry[named_at]) and entry.get("lifecycle") != "retired"
    return Listed(there, tells_ends=end_at in entry, retires=_day(entry.get(end_at)))


def listed_among(answer: Any, spellings: Sequence[str], end_at: str) -> Listed:
    """What a list of all models says of the first of `spellings` that it holds."""
    entries = {entry["id"]: entry for entry in answer["data"]}
    entry = next((entries[name] for name in spellings if name in entries), None)
    if entry is not None:
        return listed_alone(entry, "id", end_at)
    start = spellings[0][: len(spellings[0]) // 2]
    others = sorted(entries, key=lambda name: (not name.startswith(start), name))
    return Listed(False, tells_ends=bool(end_at), others=tuple(others[:_NAMED]))


def _day(moment: Any) -> date | None:
    """The day of a date or moment, such as 2026-12-11 or 2026-11-30T00:00:00Z. Raises ValueError."""
    return None if moment is None else date.fromisoformat(str(moment)[:10])
