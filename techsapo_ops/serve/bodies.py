"""The shapes of requests and answers, for validation and for /openapi.json."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class GenerateBody(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(description="The question, in Japanese or English.")]
    task_type: Annotated[
        Literal["basic", "premium", "critical"],
        Field(description="How many providers answer, and how sure the answer must be."),
    ] = "basic"


class TokensBody(BaseModel):
    input: int
    output: int


class FailureBody(BaseModel):
    kind: Literal["timeout", "rate_limited", "unavailable", "refused", "bad_answer"]
    message: str


class ProviderBody(BaseModel):
    """One provider's part."""

    name: str
    model: str
    status: Literal["answered", "failed"]
    seconds: float
    cost_usd: float
    answer: str | None = None
    self_confidence: float | None = None
    tokens: TokensBody | None = None
    error: FailureBody | None = None


class ThresholdsBody(BaseModel):
    confidence: float
    consensus: float


class AnswerBody(BaseModel):
    """The answer and how far it can be trusted. Scores are 0 to 1 and not calibrated in this version."""

    request_id: str
    task_type: Literal["basic", "premium", "critical"]
    language: Literal["ja", "en"]
    answer: str
    answered_by: str
    accepted: bool
    confidence: float
    consensus: float
    thresholds: ThresholdsBody
    calibrated: Annotated[bool, Field(description="Whether confidence was fitted to labelled outcomes.")]
    provisional: bool
    simulated: Annotated[bool, Field(description="Whether the answers come from simulated providers.")]
    notes: list[str]
    providers: list[ProviderBody]
    cost_usd: float
    processing_ms: int
    cache: Literal["hit", "miss"]


class ProblemBody(BaseModel):
    """An error (RFC 9457). `code` is stable."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer problems with `statuses`."""
    content = {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
