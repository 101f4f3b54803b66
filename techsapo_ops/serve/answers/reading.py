"""What a caller may read without asking anybody: what tiers ask and cost, and answers that it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.bodies.base import Body, problem_responses
from techsapo_ops.serve.http.auth import Caller, Gate, first
from techsapo_ops.serve.http.idempotency import Idempotency
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.pages.markup import with_html
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.question import TIERS, Question, TaskType

ANSWERED = "/api/v1/generate"
"""The path whose answers are read again."""
_Id = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class AskedProviderBody(Body):
    name: str
    model: str


class OfferBody(Body):
    """One tier as it is now. Costs are in USD."""

    task_type: TaskType
    wanted: Annotated[int, Field(description="How many providers the tier asks first.")]
    providers: Annotated[
        list[AskedProviderBody],
        Field(
            description="Providers to which a question is currently sent first; fewer than `wanted` "
            "if not enough are available."
        ),
    ]
    confidence: Annotated[float, Field(description="Confidence that an answer needs to be accepted.")]
    consensus: float
    most_usd: Annotated[
        float,
        Field(
            description="Upper bound of the cost of answers and grading. Bounces and further providers "
            "cost extra, within budget.per_request_usd."
        ),
    ]


class TiersBody(Body):
    """Providers, thresholds and cost of each tier. With `simulated`, nothing is paid."""

    simulated: bool
    tiers: list[OfferBody]


@dataclass(frozen=True, slots=True)
class Offers:
    """Tells what the tiers of `wallbounce` ask and cost; a question has `longest` characters at most."""

    wallbounce: WallBounce
    longest: int
    simulated: bool

    def body(self, characters: int) -> TiersBody:
        """The tiers for a question of that many characters."""
        question = Question("x" * min(characters, self.longest), "en")
        return TiersBody(simulated=self.simulated, tiers=[self._tier(tier, question) for tier in TIERS])

    def _tier(self, tier: TaskType, question: Question) -> OfferBody:
        rule = self.wallbounce.rule(tier)
        return OfferBody(
            task_type=tier,
            wanted=rule.providers,
            providers=[AskedProviderBody(name=p.name, model=p.model) for p in self.wallbounce.chosen(tier)],
            confidence=rule.confidence,
            consensus=rule.consensus,
            most_usd=round(self.wallbounce.worst_case(question, tier), 6),
        )


def reading_routes(gate: Gate, offers: Offers, idempotency: Idempotency) -> APIRouter:
    """Routes that need what a question needs, and count against no rate."""
    router = APIRouter(prefix="/api/v1", tags=["orchestrator"])

    @router.get(
        "/tiers",
        summary="Providers, thresholds and cost of each tier.",
        response_model=TiersBody,
        responses=problem_responses(401, 403, 422),
        dependencies=[first(gate.known)],
    )
    async def tiers(
        characters: Annotated[
            int, Query(ge=0, le=10_000_000, description="Length of the question, in characters.")
        ] = 0,
    ) -> Response:
        return json_response(offers.body(characters))

    @router.get(
        "/answers/{request_id}",
        summary="Get a stored answer again, as the caller who received it.",
        description="Answers to questions with an Idempotency-Key are stored for one day. `request_id` "
        "is the answer's.",
        response_model=AnswerBody,
        responses=problem_responses(401, 403, 404, 422),
        dependencies=[first(gate.known)],
    )
    async def answer(
        request: Request,
        request_id: _Id,
        html: Annotated[bool, Query(description="Also return each text as HTML.")] = False,
    ) -> Response:
        caller: Caller = request.state.caller
        document = await idempotency.answered(caller, ANSWERED, request_id)
        if document is None:
            gone = msg("this answer is no longer stored, or it belongs to another caller")
            raise Problem(404, "not_found", gone)
        return json_response(await with_html(document) if html else document)

    return router
