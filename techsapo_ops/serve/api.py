"""The orchestrator's own routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from techsapo_ops.serve.answers import Answers
from techsapo_ops.serve.auth import Caller, Gate
from techsapo_ops.serve.bodies.answer import AnswerBody, TriageBody
from techsapo_ops.serve.bodies.problem import problem_responses
from techsapo_ops.serve.bodies.questions import AnalyzeLogsBody, GenerateBody
from techsapo_ops.serve.body_route import body_route
from techsapo_ops.serve.idempotency import Idempotency
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.progress import ProgressEvent
from techsapo_ops.serve.responses import json_response, while_connected
from techsapo_ops.serve.streams import MEDIA_TYPE, EventStream, sse
from techsapo_ops.serve.triage import prompt_of, triage

_PROBLEMS = problem_responses(400, 401, 402, 403, 408, 413, 415, 422, 429, 500, 502, 503, 504)
_USER = Header(default=None, description="Who asks, for the audit log: a note beside the name of the key.")
_IDEMPOTENCY = Header(default=None, description="The same key sent again gets the same answer, for a day.")


def api_routes(gate: Gate, answers: Answers, idempotency: Idempotency) -> APIRouter:
    """The routes below /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["orchestrator"], route_class=body_route(gate.admit))

    @router.post(
        "/generate",
        summary="Ask several models and get one answer with its scores.",
        description="With `Accept: text/event-stream` the answer is a stream of events: answered, graded, "
        "revised, bounced, escalated and failed as they happen, then verdict with the answer.",
        response_model=AnswerBody,
        responses=_PROBLEMS,
    )
    async def generate(
        body: GenerateBody,
        request: Request,
        x_user_id: str | None = _USER,  # noqa: ARG001 - read by the gate; here for /openapi.json
        idempotency_key: str | None = _IDEMPOTENCY,  # noqa: ARG001 - read by Idempotency
    ) -> Response:
        caller: Caller = request.state.caller
        if _wants_stream(request):
            return EventStream(
                lambda: _progress(answers, idempotency, request, body, caller),
                lambda problem, number: sse(problem.document(number), "problem"),
                gate.watch(caller),
            )

        async def work() -> dict[str, Any]:
            answer = await answers.answer(
                body.prompt, body.task_type, request_id=request.state.request_id, caller=caller
            )
            return answer.document()

        answer = await while_connected(request, idempotency.once(request, caller, body, work))
        return Response(status_code=499) if answer is None else json_response(answer)

    @router.post(
        "/analyze-logs",
        summary="Find out what a log says and what to do.",
        description="problem_category and severity come from the words of the log by fixed rules; "
        "root_cause, solution_steps and confidence from the models.",
        response_model=TriageBody,
        responses=_PROBLEMS,
    )
    async def analyze_logs(
        body: AnalyzeLogsBody,
        request: Request,
        x_user_id: str | None = _USER,  # noqa: ARG001 - read by the gate; here for /openapi.json
        idempotency_key: str | None = _IDEMPOTENCY,  # noqa: ARG001 - read by Idempotency
    ) -> Response:
        caller: Caller = request.state.caller
        if not (body.error_output.strip() or body.user_command.strip()):
            raise Problem(422, "invalid_request", "error_output and user_command are both empty")
        prompt = prompt_of(body.user_command, body.error_output, body.system_context)

        async def work() -> dict[str, Any]:
            answer = await answers.answer(
                prompt, body.task_type, request_id=request.state.request_id, caller=caller
            )
            log = f"{body.user_command}\n{body.error_output}\n{body.system_context}"
            return triage(answer, log).document()

        answer = await while_connected(request, idempotency.once(request, caller, body, work))
        return Response(status_code=499) if answer is None else json_response(answer)

    return router


def _wants_stream(request: Request) -> bool:
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    return MEDIA_TYPE in accepted


async def _progress(
    answers: Answers, idempotency: Idempotency, request: Request, body: GenerateBody, caller: Caller
) -> AsyncIterator[bytes]:
    """Each step of the analysis, then the verdict; of a repeated Idempotency-Key the verdict alone."""
    steps: asyncio.Queue[ProgressEvent | None] = asyncio.Queue()

    async def work() -> dict[str, Any]:
        request_id = request.state.request_id
        async with answers.asking(
            body.prompt, body.task_type, request_id=request_id, caller=caller
        ) as pending:
            async for event in pending.events():
                steps.put_nowait(event)
            return (await pending.answer()).document()

    reply = asyncio.create_task(idempotency.once(request, caller, body, work))
    reply.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        while (event := await steps.get()) is not None:
            yield sse(event, event["event"])
        yield sse(await reply, "verdict")
    finally:
        reply.cancel()
        with suppress(asyncio.CancelledError, Problem):
            await reply
