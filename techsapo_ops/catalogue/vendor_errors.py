"""What vendors' errors mean, loaded from vendor_errors.yaml."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cache

from techsapo_ops.catalogue.yaml_text import frozen, packaged_yaml


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
    return tuple(ErrorRow(**row) for row in frozen(packaged_yaml("vendor_errors.yaml")))
