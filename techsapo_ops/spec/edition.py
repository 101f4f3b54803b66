"""Editions of the defaults: which ones hold where a spec says nothing.

A default that gets safer must not change a stack that runs. So each stack keeps the edition that it began
with, until its spec names another one; environment production has the latest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Edition = Literal[1, 2]
FIRST: Edition = 1
LATEST: Edition = 2
PRODUCTION = "production"
NO_ENVIRONMENT = "none"
"""What -e says for the spec without an overlay; no overlay may be called so."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a spec is used: the environment, and which edition its stack began with.

    `began_with` is None where the spec is looked at alone.
    """

    environment: str | None = None
    began_with: Edition | None = None


def edition_of(written: Edition | None, environment: str | None, began_with: Edition) -> Edition:
    """The edition of a stack: what its spec names, the latest in production, or what it began with."""
    if written is not None:
        return written
    return LATEST if environment == PRODUCTION else began_with


def chosen(value: bool | None, edition: Edition) -> bool:
    """What a spec says of a protection; where it says nothing, whether `edition` has it."""
    return edition > FIRST if value is None else value
