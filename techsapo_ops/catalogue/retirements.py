"""Models that their vendors retire, loaded from retirements.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Retirement:
    """One row of retirements.yaml, for each of its models; the file's head explains each key."""

    retires: date
    as_of: date
    source: str
    replacement: str | None = None
    second_hand: bool = False


@cache
def retirements() -> Mapping[tuple[str, str], Retirement]:
    """Every announced end by vendor and model."""
    text = (files("techsapo_ops.catalogue") / "retirements.yaml").read_text(encoding="utf-8")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # it is read whenever a spec names a vendor
    rows = yaml.load(text, loader)  # noqa: S506 - a safe one, in C
    return MappingProxyType(
        {
            (vendor, model): Retirement(**{key: value for key, value in row.items() if key != "models"})
            for vendor, listed in rows.items()
            for row in listed
            for model in row["models"]
        }
    )
