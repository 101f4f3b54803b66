"""The routes of alerts, events and incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from techsapo_ops.adapters.mac import same
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import Body, problem_responses
from techsapo_ops.serve.bodies.incidents import (
    AcceptedAlertsBody,
    AlertsBody,
    AskedBody,
    CheckBody,
    EventBody,
    IncidentsBody,
    InquiryBody,
    ResolveBody,
    StoredEventBody,
    StrikeBody,
    WholeIncidentBody,
)
from techsapo_ops.serve.http.auth import Caller, Gate, first, given_key
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import Admit, body_route
from techsapo_ops.serve.http.responses import json_response, while_connected
from techsapo_ops.serve.incidents.asking import Questions
from techsapo_ops.serve.incidents.desk import Desk, unknown
from techsapo_ops.stores.audit.shared_tables import Away

T = TypeVar("T")
RETRY_AFTER = 10.0
_POSTED = problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_READ = problem_responses(401, 403, 404, 422, 503)


def incident_routes(
    gate: Gate, desk: Desk | None, questions: Questions, key: Callable[[], bytes | None]
) -> tuple[APIRouter, ...]:
    """The routes; `desk` is None where the spec has no `investigate`. `key` gives what the stack's own
    Alertmanager is let in by, None where it is let in by nothing.
    """
    changing = _changing(gate, desk, questions)
    return _alerts(gate, desk, key), _events(gate, desk), changing, _reading(gate, desk)


def _alerts(gate: Gate, desk: Desk | None, key: Callable[[], bytes | None]) -> APIRouter:
    async def admit(request: Request) -> Caller:
        own, given = key(), given_key(request)
        if own is not None and given is not None and same(own.decode(), given):
            return Caller(None, None, str(request.state.client))
        return await gate.known(request, "alerts")  # whatever its rate: a storm is when they matter

    async def alerts(body: AlertsBody, request: Request) -> Response:  # noqa: ARG001 - as all such endpoints
        return json_response(await _asked(desk, lambda d: d.report(body)))

    summary = "Report alerts: Alertmanager's webhook or a list of alerts. Needs a key with scope `alerts`."
    return _posting(admit, ("/alerts", alerts, AcceptedAlertsBody, summary))


def _events(gate: Gate, desk: Desk | None) -> APIRouter:
    async def event(body: EventBody, request: Request) -> Response:
        return json_response(await _asked(desk, lambda d: d.note(body, _author(request))))

    summary = "Note something that was done, such as a deploy. Needs a key with the scope `events`."
    return _posting(partial(gate.admit, scope="events"), ("/events", event, StoredEventBody, summary))


def _changing(gate: Gate, desk: Desk | None, questions: Questions) -> APIRouter:
    async def investigate(body: AskedBody, request: Request) -> Response:
        work = questions.answer(body, request.state.caller, request.state.request_id)
        try:
            document = await while_connected(request, work)
        except Away as error:
            raise _away(error) from None
        return Response(status_code=499) if document is None else json_response(document)

    async def resolve(number: str, body: ResolveBody, request: Request) -> Response:
        return json_response(
            await _asked(desk, lambda d: d.resolve(_whole(number), body.cause, _author(request)))
        )

    async def strike(number: str, body: StrikeBody, request: Request) -> Response:
        author = _author(request)
        return json_response(
            await _asked(desk, lambda d: d.strike(_whole(number), body.cause, body.reason, author))
        )

    async def check(number: str, body: CheckBody, request: Request) -> Response:
        author = _author(request)
        return json_response(
            await _asked(desk, lambda d: d.check(_whole(number), body.check, body.output, author))
        )

    one, asking = "/incidents/{number}", "Ask the panel about an alert, an incident or a question."
    return _posting(
        gate.admit,
        ("/incidents/investigate", investigate, InquiryBody, asking),
        (f"{one}/resolve", resolve, WholeIncidentBody, "End an incident with its cause."),
        (f"{one}/strike", strike, WholeIncidentBody, "Strike a cause out of the verdict."),
        (f"{one}/check", check, WholeIncidentBody, "Add what a check printed to the evidence."),
    )


def _posting(admit: Admit, *routes: tuple[str, Callable[..., Any], type[Body], str]) -> APIRouter:
    """Path, endpoint, answer and summary of routes whose callers `admit` lets in."""
    router = APIRouter(prefix="/api/v1", tags=["incidents"], route_class=body_route(admit))
    for path, endpoint, answer, summary in routes:
        more: dict[str, Any] = {"response_model": answer, "summary": summary, "responses": _POSTED}
        router.add_api_route(path, endpoint, methods=["POST"], **more)
    return router


def _reading(gate: Gate, desk: Desk | None) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["incidents"])

    @router.get(
        "/incidents",
        summary="Incidents, the newest first.",
        response_model=IncidentsBody,
        responses=_READ,
        dependencies=[first(gate.admit_monitor, "ask")],
    )
    async def incidents(
        state: Literal["open", "ended", "all"] = "all",
        alert: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        listed = await _asked(desk, lambda d: d.listed(state, limit, alert))
        return json_response(IncidentsBody(incidents=listed))

    @router.get(
        "/incidents/{number}",
        summary="An incident with its time line.",
        response_model=WholeIncidentBody,
        responses=_READ,
        dependencies=[first(gate.admit_monitor, "ask")],
    )
    async def incident(
        number: str,
        leaving: Annotated[
            bool, Query(description="Only evidence that may be sent to providers (`may_leave`).")
        ] = False,
    ) -> Response:
        return json_response(await _asked(desk, lambda d: d.whole(_whole(number), leaving=leaving)))

    return router


def _whole(number: str) -> int:
    """The number in a path. Raises Problem for what is none, and only once the caller is let in."""
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise unknown(number)
    return int(number)


def _author(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.user or ""


async def _asked(desk: Desk | None, do: Callable[[Desk], T]) -> T:
    """What `do` does beside the event loop. Raises Problem where the database, or the section, is missing."""
    if desk is None:
        raise Problem(404, "not_found", msg("there are no incidents: `investigate` is not in the spec"))
    try:
        return await asyncio.to_thread(do, desk)
    except Away as error:
        raise _away(error) from None


def _away(error: Away) -> Problem:
    detail = msg("incidents can't be read or written now: {error}", error=error)
    return Problem(503, "audit_unavailable", detail, retry_after=RETRY_AFTER)
