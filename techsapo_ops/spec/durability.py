"""Whether an answer waits until its audit row is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from techsapo_ops.spec.models.app import Audit


def durable_answers(audit: Audit) -> bool | None:
    """What the spec says; None leaves it to the edition."""
    return None if audit.durability is None else audit.durability == "answered"
