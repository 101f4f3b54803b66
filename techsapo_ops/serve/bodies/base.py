"""What all answers share, and errors."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Document = dict[str, Any]
"""A body as plain data, in the order of its fields."""
Number = int | float
"""A number that comes from elsewhere: a whole one stays one."""


def rounded(value: float | None) -> float | None:
    """`value` as it is sent; None stays None, for nobody gave it."""
    return None if value is None else round(value, 4)


Rounded = Annotated[float | None, AfterValidator(rounded)]


class Body(BaseModel):
    """An answer, made of fields or of an object that has them as attributes. What was never set is not in it;
    null is what was set to None.
    """

    model_config = ConfigDict(from_attributes=True)

    def document(self) -> Document:
        """As plain data, in the order of the fields."""
        return self.model_dump(exclude_unset=True)


class ProblemBody(Body):
    """An error (RFC 9457). `code` is stable."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    retry_after: Annotated[
        int | None, Field(description="Same as Retry-After; a stream can no longer send the header.")
    ] = None


class OpenAIError(Body):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIErrorBody(Body):
    """An error as OpenAI's API writes it, `code` included; `problem` is the code of /api/v1, and stable."""

    error: OpenAIError
    problem: str | None = None
    request_id: str | None = None


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer problems with `statuses`."""
    content = {"application/problem+json": {"schema": _schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


@cache
def _schema() -> dict[str, Any]:
    """Made once: nine routes tell of it, and it was a third of the time that the app took to be made."""
    return ProblemBody.model_json_schema()


def openai_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route below /v1 that may answer errors with `statuses`."""
    return {status: {"model": OpenAIErrorBody} for status in statuses}
