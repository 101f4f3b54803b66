"""The routes by which people say what became of answers, and read what became of all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.records import LONGEST, Records
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.feedback import (
    FeedbackBody,
    LabelBody,
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
    known = Records(store)
    router = APIRouter(prefix="/api/v1", tags=["feedback"])

    @router.get(
        "/feedback/records",
        summary="What became of answers, as of up to a minute ago. Needs what /metrics needs.",
        response_model=RecordsBody,
        responses=problem_responses(401, 403, 422, 503),
        dependencies=[first(gate.admit_monitor, "ask")],
    )
    async def records(days: Annotated[int, Query(ge=1, le=LONGEST)] = 90) -> Response:
        try:
            return json_response(await known.of(days))
        except Away as error:
            raise _away(error) from None

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


def _unknown() -> Problem:
    detail = msg("there is no answer with this id to label; a new answer can be labelled after a few seconds")
    return Problem(404, "not_found", detail)


async def _read(do: Callable[[], T]) -> T:
    """What `do` does beside the event loop. Raises Problem where the database is away."""
    try:
        return await asyncio.to_thread(do)
    except Away as error:
        raise _away(error) from None


def _away(error: Away) -> Problem:
    detail = msg("labels can't be read or written now: {error}", error=error)
    return Problem(503, "audit_unavailable", detail, retry_after=RETRY_AFTER)
