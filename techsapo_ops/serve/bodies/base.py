"""What all answers share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

Number = int | float
"""A number that comes from elsewhere: a whole one stays one."""


def rounded(value: float | None) -> float | None:
    """`value` as it is told; None stays None, for nobody gave it."""
    return None if value is None else round(value, 4)


Rounded = Annotated[float | None, AfterValidator(rounded)]


class Body(BaseModel):
    """An answer, made of fields or of an object that has them as attributes. What was never set is not in it;
    null is what was set to None.
    """

    model_config = ConfigDict(from_attributes=True)

    def document(self) -> dict[str, Any]:
        """As plain data, in the order of the fields."""
        return self.model_dump(exclude_unset=True)
