"""What vendors' own lists of models say of one: whether it is there, and when it ends.

Lists: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models,
https://ai.google.dev/api/models, https://openrouter.ai/docs/api-reference. Asking costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

LONGEST_LIST = 8 * 1024 * 1024
"""Most bytes of a list; OpenRouter's holds hundreds of models with their descriptions."""
_NAMED = 5
"""Most names that are told of what else a list holds."""


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


def openai_model(model: Any) -> Listed:
    """OpenAI's: GET /v1/models/ID. An end is a `shutdown_date`."""
    return Listed(
        bool(model["id"]), tells_ends="shutdown_date" in model, retires=_day(model.get("shutdown_date"))
    )


def claude_model(model: Any) -> Listed:
    """Anthropic's: GET /v1/models/ID. A retired one stays in the list."""
    return Listed(
        bool(model["id"]) and model.get("lifecycle") != "retired",
        tells_ends="retires_at" in model,
        retires=_day(model.get("retires_at")),
    )


def gemini_model(model: Any) -> Listed:
    """Google's: GET /v1beta/models/ID. It tells no ends."""
    return Listed(bool(model["name"]))


def in_openrouters_list(answer: Any, model: str) -> Listed:
    """OpenRouter's: GET /api/v1/models, all of them. A suffix such as `:nitro` may be no model of its own."""
    rows = {row["id"]: row for row in answer["data"]}
    row = rows.get(model) or rows.get(model.partition(":")[0])
    if row is None:
        return Listed(False, tells_ends=True, others=_similar(rows, model))
    return Listed(
        True,
        tells_ends="expiration_date" in row,
        retires=_day(row.get("expiration_date")),
    )


def in_list(answer: Any, model: str) -> Listed:
    """A compatible server's: GET /v1/models, all that it serves. Ollama adds `:latest` to a bare name."""
    rows = {row["id"]: row for row in answer["data"]}
    row = rows.get(model) or rows.get(f"{model}:latest")
    return Listed(True) if row is not None else Listed(False, others=_similar(rows, model))


def _similar(names: Iterable[str], model: str) -> tuple[str, ...]:
    """Some names, those that begin as `model` does first."""
    start = model[: len(model) // 2]
    return tuple(sorted(names, key=lambda name: (not name.startswith(start), name))[:_NAMED])


def _day(told: Any) -> date | None:
    """The day of a date or moment, such as 2026-12-11 or 2026-11-30T00:00:00Z. Raises ValueError."""
    return None if told is None else date.fromisoformat(str(told)[:10])
