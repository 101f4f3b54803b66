"""What each tier asks and costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.serve.bodies.base import Body


class AskedProviderBody(Body):
    name: str
    model: str


class OfferBody(Body):
    """One tier as it is now. Costs are in USD."""

    task_type: Literal["basic", "premium", "critical"]
    wanted: Annotated[int, Field(description="How many providers the tier asks first.")]
    providers: Annotated[
        list[AskedProviderBody],
        Field(
            description="Those that a question goes to first now; fewer than `wanted` where there are none."
        ),
    ]
    confidence: Annotated[float, Field(description="What an answer needs to be accepted.")]
    consensus: float
    most_usd: Annotated[
        float,
        Field(
            description="Most that the answers and their grading can cost. What is sent back, and who joins "
            "later, comes on top, within budget.per_request_usd."
        ),
    ]
    mean_usd: Annotated[
        float | None,
        Field(
            description="What this month's questions of the tier cost on average; null where there is none."
        ),
    ]
    asked: Annotated[int, Field(description="How many those are.")]


class TiersBody(Body):
    """What each tier asks and costs. Where `simulated`, nothing is paid: the prices are pretended."""

    simulated: bool
    tiers: list[OfferBody]
