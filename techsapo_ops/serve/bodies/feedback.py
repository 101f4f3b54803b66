"""What people say of answers, and what became of answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from techsapo_ops.serve.bodies.base import Body
from techsapo_ops.stores.labels.rows import Said, Via

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class FeedbackBody(BaseModel):
    """What became of an answer. Whoever changes their mind says it again: the last word counts."""

    model_config = ConfigDict(extra="forbid")

    request_id: Annotated[RequestId, Field(description="The answer's request id.")]
    label: Annotated[
        Said,
        Field(
            description="unused: nobody acted on the answer; unknown: nobody can tell whether it is right."
        ),
    ]
    solved: Annotated[
        bool | None,
        Field(
            description="Whether the answer solved the problem; null: not said. A right answer may solve "
            "nothing."
        ),
    ] = None
    via: Annotated[Via, Field(description="How the label was given.")] = "api"


class LabelBody(Body):
    """A label as it is stored."""

    request_id: str
    who: Annotated[str, Field(description="The API key's name, or the user who signed in; empty if unknown.")]
    label: Said
    solved: bool | None
    at: str
    via: Via


class StoredAnswerBody(Body):
    """A question and its answer as the audit log has them, masked; null for what `audit` does not store.

    Confidence and models are left out: whoever labels must not follow them.
    """

    request_id: str
    time: str
    prompt: str | None
    answer: str | None


class ModelRecordBody(Body):
    """What became of one model's answers."""

    model: str
    compared: Annotated[
        int, Field(description="Analyses in which this model's answer was compared with another.")
    ]
    dissented: Annotated[int, Field(description="How many of these answers differed from the chosen answer.")]
    judged: Annotated[int, Field(description="Number of this model's labelled answers.")]
    right: Annotated[
        float, Field(description="How many labelled answers were right; partly right counts .5.")
    ]


class RecordsBody(Body):
    """What became of the answers of the last days, by what people say."""

    days: int
    counted_since: Annotated[
        str | None,
        Field(
            description="Only the newest 2,000 requests count, those since this time. null: all requests "
            "count."
        ),
    ]
    simulated: Annotated[bool, Field(description="Whether all answers come from simulated models.")]
    models: list[ModelRecordBody]
    judged: int
    right: float
    sure: Annotated[int, Field(description="Labelled answers that were shown with a confidence >= .9.")]
    sure_right: float
    declined: Annotated[int, Field(description="Labelled answers that were not accepted.")]
    declined_right: Annotated[
        float, Field(description="How many answers that were not accepted were right after all.")
    ]
    usd_per_right: Annotated[float | None, Field(description="null while no labelled answer was right.")]
