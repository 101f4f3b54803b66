"""The routes by which people say what became of answers, and read what became of all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.feedback import (
    FeedbackBody,
    LabelBody,
    ModelRecordBody,
    RecordsBody,
    StoredAnswerBody,
)
from techsapo_ops.serve.http.auth import Caller, Gate, first
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import body_route
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.labels.rows import Label
from techsapo_ops.stores.labels.store import LabelStore, TooManyLabels
from techsapo_ops.wallbounce.feedback.judged import judged
from techsapo_ops.wallbounce.feedback.track_record import balance, track_records

log = structlog.get_logger()
T = TypeVar("T")
RETRY_AFTER = 10.0


def feedback_routes(gate: Gate, store: LabelStore) -> tuple[APIRouter, ...]:
    """The routes. Nothing but the POST labels anything: programs open links."""
    return _saying(gate, store), _reading(gate, store)


def _saying(gate: Gate, store: LabelStore) -> APIRouter:
    admit = partial(gate.admit, scope="label")
    router = APIRouter(prefix="/api/v1", tags=["feedback"], route_class=body_route(admit))

    async def say(body: FeedbackBody, request: Request) -> Response:
        caller: Caller = request.state.caller
        now = datetime.now(UTC)
        label = Label(
            uuid.uuid4().hex, body.request_id, caller.user or "", body.label, body.solved, now, body.via
        )
        try:
            stored = await _read(lambda: store.add(label))
        except TooManyLabels:
            detail = msg("you have changed your mind about this answer too often: the last label stays")
            raise Problem(409, "conflict", detail) from None
        if not stored:
            raise _unknown()
        log.info("Answer labelled", requestId=body.request_id, label=body.label, by=label.who, via=body.via)
        return json_response(LabelBody.model_validate({**asdict(label), "at": now.isoformat()}))

    told: dict[str, Any] = {
        "summary": "Say what became of an answer. Needs a key with the scope `label`.",
        "response_model": LabelBody,
        "responses": problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    }
    router.add_api_route("/feedback", say, methods=["POST"], **told)
    return router


def _reading(gate: Gate, store: LabelStore) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["feedback"])

    @router.get(
        "/feedback/records",
        summary="What became of answers: by model, and in all. Needs what /metrics needs.",
        response_model=RecordsBody,
        responses=problem_responses(401, 403, 422, 503),
        dependencies=[first(gate.admit_monitor, "ask")],
    )
    async def records(days: Annotated[int, Query(ge=1, le=366)] = 90) -> Response:
        return json_response(await _read(lambda: _records(store, days)))

    @router.get(
        "/feedback/{request_id}",
        summary="A stored question and its answer, to be labelled. Needs a key with the scope `label`.",
        response_model=StoredAnswerBody,
        responses=problem_responses(401, 403, 404, 503),
    )
    async def answer(request: Request, request_id: str) -> Response:
        await gate.known(request, "label")
        stored = await _read(lambda: store.texts(request_id[:128]))
        if stored is None:
            raise _unknown()
        return json_response(
            StoredAnswerBody.model_validate({**asdict(stored), "time": stored.time.isoformat()})
        )

    return router


def _records(store: LabelStore, days: int) -> RecordsBody:
    every = judged(store.answered(datetime.now(UTC) - timedelta(days=days)))
    real = tuple(each for each in every if not each.simulated)
    analyses = real or every
    known = balance(analyses)
    return RecordsBody(
        days=days,
        simulated=bool(every) and not real,
        models=[ModelRecordBody.model_validate(each) for each in track_records(analyses)],
        judged=known.judged,
        right=known.right,
        sure=known.sure,
        sure_right=known.sure_right,
        declined=known.declined,
        declined_right=known.declined_right,
        usd_per_right=known.usd_per_right,
    )


def _unknown() -> Problem:
    detail = msg("no answer to label has this id; a new one can be labelled after some seconds")
    return Problem(404, "not_found", detail)


async def _read(do: Callable[[], T]) -> T:
    """What `do` does beside the event loop. Raises Problem where the database is away."""
    try:
        return await asyncio.to_thread(do)
    except Away as error:
        detail = msg("labels can't be read or written now: {error}", error=error)
        raise Problem(503, "audit_unavailable", detail, retry_after=RETRY_AFTER) from None
