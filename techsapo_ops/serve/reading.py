"""What a caller may read without asking anybody: what tiers ask and cost, and answers that it was given."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.auth import Gate
from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.serve.bodies.problem import problem_responses
from techsapo_ops.serve.bodies.tiers import TiersBody
from techsapo_ops.serve.idempotency import Idempotency
from techsapo_ops.serve.markup import with_html
from techsapo_ops.serve.offers import Offers
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.responses import json_response

ANSWERED = "/api/v1/generate"
"""The path whose answers are read again."""
_Id = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def reading_routes(gate: Gate, offers: Offers, idempotency: Idempotency) -> APIRouter:
    """Routes that need what a question needs, and count against no rate."""
    router = APIRouter(prefix="/api/v1", tags=["orchestrator"])

    @router.get(
        "/tiers",
        summary="What each tier asks and costs.",
        response_model=TiersBody,
        responses=problem_responses(401, 403, 422),
    )
    async def tiers(
        request: Request,
        characters: Annotated[int, Query(ge=0, le=10_000_000, description="Of the question.")] = 0,
    ) -> Response:
        await gate.known(request)
        return json_response((await offers.body(characters)).document())

    @router.get(
        "/answers/{request_id}",
        summary="An answer again, for whom it was given to.",
        description="For a day, of a question that had an Idempotency-Key. `request_id` is the answer's.",
        response_model=AnswerBody,
        responses=problem_responses(401, 403, 404, 422),
    )
    async def answer(
        request: Request,
        request_id: _Id,
        html: Annotated[bool, Query(description="Whether each text is there as HTML as well.")] = False,
    ) -> Response:
        caller = await gate.known(request)
        found = await idempotency.answered(caller, ANSWERED, request_id)
        if found is None:
            gone = msg("there is no such answer any more, or it is another caller's")
            raise Problem(404, "not_found", gone)
        return json_response(await with_html(found) if html else found)

    return router
