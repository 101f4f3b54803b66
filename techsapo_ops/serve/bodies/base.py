"""What all answers share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Number = int | float
"""A number that comes from elsewhere: a whole one stays one."""


class Body(BaseModel):
    """An answer. What was never set is not in it; null is what was set to None."""

    def document(self) -> dict[str, Any]:
        """As plain data, in the order of the fields."""
        return self.model_dump(exclude_unset=True)
