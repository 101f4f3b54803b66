"""What a service is among those of its kind on the other machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A role in words; "" where nothing was said of it."""

    words: str = ""
    wrong: bool = False
    """It answers, and is not what it should be: a replica without its master, a member without a quorum."""
    sole: bool | None = None
    """Whether it has what one of its kind alone may have, such as the master's place; None: there is none."""
