"""The orchestrator's own routes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.asking import Asked, Asking
from techsapo_ops.serve.answers.triage import prompt_of, triage
from techsapo_ops.serve.bodies.answer import AnswerBody, TriageBody
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.http.auth import Gate
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.proxies import header_of
from techsapo_ops.serve.http.request_body import body_route
from techsapo_ops.serve.http.responses import (
    MEDIA_TYPE,
    EventStream,
    Put,
    json_response,
    sse,
    while_connected,
)
from techsapo_ops.serve.pages.markup import with_html
from techsapo_ops.wallbounce.question import TaskType

_PROBLEMS = problem_responses(400, 401, 402, 403, 413, 415, 422, 429, 500, 502, 503, 504)
_USER = Header(default=None, description="Who asks, for the audit log; recorded beside the key's name.")
_IDEMPOTENCY = Header(default=None, description="A repeated key gets the same answer, for one day.")
_HTML = Query(
    default=False,
    description="Also return each text as sanitised HTML, in `answer_html`; the text may be Markdown.",
)
_STREAM = (
    "With `Accept: text/event-stream` the answer is a stream of events: waiting, asked, answered, failed, "
    "sat_in, grading, graded, asked_again, bouncing, revised, bounced, escalated and settled as they happen, "
    "then verdict with the whole answer, or problem."
)


_Language = Annotated[
    Literal["en", "ja"] | None,
    Field(
        description="Language of the answer. Default: the language that the question asks for, else that of "
        "the stack."
    ),
]


class GenerateBody(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(description="The question, in Japanese or English.")]
    language: _Language = None
    task_type: Annotated[
        TaskType,
        Field(
            description="How many providers answer, and how sure the answer must be. cascade: one provider "
            "answers, another checks, and more are asked only if that is not enough."
        ),
    ] = "basic"


class AnalyzeLogsBody(BaseModel):
    """What happened: the command, what it printed, and the system around it."""

    model_config = ConfigDict(extra="forbid")

    user_command: Annotated[str, Field(description="The command that failed.")] = ""
    error_output: Annotated[str, Field(description="The output of the command, or the log.")] = ""
    system_context: Annotated[str, Field(description="Host, versions and recent changes.")] = ""
    language: _Language = None
    task_type: TaskType = "basic"


def api_routes(gate: Gate, asking: Asking) -> APIRouter:
    """The routes below /api/v1."""
    router = APIRouter(prefix="/api/v1", tags=["orchestrator"], route_class=body_route(gate.admit))

    async def reply(request: Request, body: BaseModel, asked: Asked, *, html: bool = False) -> Response:
        """Whole, or as a stream where the client wants one."""
        if _wants_stream(request):

            async def work(put: Put) -> None:
                async def written(name: str, document: dict[str, Any]) -> bytes:
                    return sse(await with_html(document) if html else document, name)

                def tell(name: str, document: dict[str, Any]) -> None:
                    put(partial(written, name, document))

                await asking.follow(request, body, asked, tell)

            return EventStream(work, gate.watch(request.state.caller))
        document = await while_connected(request, asking.reply(request, body, asked))
        if document is None:
            return Response(status_code=499)
        return json_response(await with_html(document) if html else document)

    @router.post(
        "/generate",
        summary="Ask several models and get one answer with its scores.",
        description=_STREAM,
        response_model=AnswerBody,
        responses=_PROBLEMS,
    )
    async def generate(
        body: GenerateBody,
        request: Request,
        html: bool = _HTML,  # noqa: ARG001 - read by _wants_html
        x_user_id: str | None = _USER,  # noqa: ARG001 - read by the gate; here for /openapi.json
        idempotency_key: str | None = _IDEMPOTENCY,  # noqa: ARG001 - read by Idempotency
    ) -> Response:
        language = asking.language.of(body.language, body.prompt, lambda: body.prompt)
        asked = Asked(body.prompt, body.task_type, language)
        return await reply(request, body, asked, html=_wants_html(request))

    @router.post(
        "/analyze-logs",
        summary="Find the cause in a log, and what to do.",
        description="problem_category and severity come from the words of the log by fixed rules; "
        f"root_cause, solution_steps and confidence from the models. {_STREAM}",
        response_model=TriageBody,
        responses=_PROBLEMS,
    )
    async def analyze_logs(
        body: AnalyzeLogsBody,
        request: Request,
        x_user_id: str | None = _USER,  # noqa: ARG001 - read by the gate; here for /openapi.json
        idempotency_key: str | None = _IDEMPOTENCY,  # noqa: ARG001 - read by Idempotency
    ) -> Response:
        parts = (body.user_command, body.error_output, body.system_context)
        if not (body.error_output.strip() or body.user_command.strip()):
            raise Problem(422, "invalid_request", msg("error_output and user_command are both empty"))
        language = asking.language.of(body.language, "", lambda: str(prompt_of(*parts, "en")))
        log = "\n".join(parts)
        asked = Asked(prompt_of(*parts, language), body.task_type, language, lambda a: triage(a, log))
        return await reply(request, body, asked)

    return router


def _wants_html(request: Request) -> bool:
    asked = request.query_params.get("html", "false") if request.scope["query_string"] else "false"
    if asked not in {"true", "false"}:
        raise Problem(422, "invalid_request", msg("html must be true or false"))
    return asked == "true"


def _wants_stream(request: Request) -> bool:
    wanted = header_of(request.scope, b"accept") or ""
    accepted = [part.partition(";")[0].strip() for part in wanted.split(",")]
    return MEDIA_TYPE in accepted
