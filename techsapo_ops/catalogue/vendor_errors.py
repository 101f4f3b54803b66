"""What vendors' errors mean, loaded from vendor_errors.yaml."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of vendor_errors.yaml; the file's head explains each key. An empty condition always holds."""

    cause: str
    status: Collection[int] = ()
    name: Collection[str] = ()
    quota: str = ""
    param: tuple[str, ...] = ()
    keys: Collection[str] = ()
    json: bool | None = None
    begins: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    as_of: date | None = None
    source: str = ""
    second_hand: bool = False


@cache
def error_rows() -> tuple[ErrorRow, ...]:
    """Every row, in the order in which they decide."""
    rows: list[dict[str, Any]] = packaged_yaml("vendor_errors.yaml")
    return tuple(ErrorRow(**{key: _frozen(value) for key, value in row.items()}) for row in rows)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
