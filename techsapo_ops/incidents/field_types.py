"""The types of what others wrote: each with its bounds, and without control characters once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationInfo

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.messages import msg

CUT = {"cut": True}
"""The context of a validation in which what is too long is cut; in any other it is refused."""

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)


def _text(most: int, *, one_line: bool = True) -> BeforeValidator:
    def bounded(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        text = harmless(value)
        if one_line:
            text = " ".join(text.split())
        return text[: most - 1] + "…" if info.context and len(text) > most else text

    return BeforeValidator(bounded)


def few(most: int) -> BeforeValidator:
    """Bounds the number of entries of a list or a mapping."""

    def bounded(value: Any, info: ValidationInfo) -> Any:
        if not info.context:
            return value
        if isinstance(value, Mapping):
            return dict(sorted(value.items())[:most])
        return (sorted(value) if isinstance(value, frozenset) else list(value))[:most]

    return BeforeValidator(bounded)


def _utc(value: datetime, info: ValidationInfo) -> datetime:
    if 2000 <= value.year < 2100:
        return value.astimezone(UTC)
    if not info.context:
        raise ValueError(msg("must be a time between 2000 and 2100"))
    return _FIRST if value.year < 2000 else _LAST  # a file may say that it is of 1970


Label = Annotated[str, _text(200), Field(max_length=200)]
Sentence = Annotated[str, _text(1_000), Field(max_length=1_000)]
Text = Annotated[str, _text(4_000, one_line=False), Field(max_length=4_000)]
PageText = Annotated[str, _text(20_000, one_line=False), Field(max_length=20_000)]
Time = Annotated[AwareDatetime, AfterValidator(_utc)]
