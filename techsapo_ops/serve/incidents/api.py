"""The routes of alerts, events and incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from techsapo_ops.adapters.mac import same
from techsapo_ops.incidents.incident import TooMany
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.incidents import (
    AlertsBody,
    CheckBody,
    EventBody,
    EventsBody,
    HeardBody,
    IncidentsBody,
    KeptEventBody,
    ResolveBody,
    StrikeBody,
    WholeIncidentBody,
)
from techsapo_ops.serve.http.auth import Caller, Gate, given_key
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import Admit, body_route
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.incidents.desk import Desk
from techsapo_ops.stores.incidents.store import Away

T = TypeVar("T")
RETRY_AFTER = 10.0
_POSTED = problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_READ = problem_responses(401, 403, 404, 422, 503)


def incident_routes(gate: Gate, desk: Desk | None, key: Callable[[], bytes | None]) -> tuple[APIRouter, ...]:
    """The routes; `desk` is None where the spec has no `investigate`. `key` gives what the stack's own
    Alertmanager is let in by, None where it is let in by nothing.
    """
    return _alerts(gate, desk, key), _events(gate, desk), _changing(gate, desk), _reading(gate, desk)


def _router(admit: Admit | None = None) -> APIRouter:
    """Routes whose callers `admit` lets in before a body is looked at; None for those without one."""
    kind = APIRoute if admit is None else body_route(admit)
    return APIRouter(prefix="/api/v1", tags=["incidents"], route_class=kind)


def _alerts(gate: Gate, desk: Desk | None, key: Callable[[], bytes | None]) -> APIRouter:
    async def admit(request: Request) -> Caller:
        own, given = key(), given_key(request)
        if own is not None and given is not None and same(own.decode(), given):
            return Caller(None, None, str(request.state.client))
        return await gate.known(request, "alerts")  # whatever its rate: a storm is when they matter

    router = _router(admit)

    @router.post(
        "/alerts",
        summary="Tell of alerts: Alertmanager's webhook, or a list of alerts.",
        description="Needs a key with the scope `alerts`.",
        response_model=HeardBody,
        responses=_POSTED,
    )
    async def alerts(body: AlertsBody, request: Request) -> Response:  # noqa: ARG001 - as all such routes
        return json_response(await _asked(desk, lambda d: d.hear(body)))

    return router


def _events(gate: Gate, desk: Desk | None) -> APIRouter:
    router = _router(partial(gate.admit, scope="events"))

    @router.post(
        "/events",
        summary="Note something that was done, such as a deploy.",
        description="Needs a key with the scope `events`. Events are never changed.",
        response_model=KeptEventBody,
        responses=_POSTED,
    )
    async def event(body: EventBody, request: Request) -> Response:
        return json_response(await _asked(desk, lambda d: d.note(body, _author(request))))

    return router


def _changing(gate: Gate, desk: Desk | None) -> APIRouter:
    router = _router(gate.admit)

    @router.post(
        "/incidents/{number:int}/resolve",
        summary="End an incident with its cause.",
        response_model=WholeIncidentBody,
        responses=_POSTED,
    )
    async def resolve(number: int, body: ResolveBody, request: Request) -> Response:
        return json_response(await _asked(desk, lambda d: d.resolve(number, body.cause, _author(request))))

    @router.post(
        "/incidents/{number:int}/strike",
        summary="Strike a cause out.",
        response_model=WholeIncidentBody,
        responses=_POSTED,
    )
    async def strike(number: int, body: StrikeBody, request: Request) -> Response:
        author = _author(request)
        return json_response(await _asked(desk, lambda d: d.strike(number, body.cause, body.reason, author)))

    @router.post(
        "/incidents/{number:int}/check",
        summary="Add what a check printed.",
        response_model=WholeIncidentBody,
        responses=_POSTED,
    )
    async def check(number: int, body: CheckBody, request: Request) -> Response:
        author = _author(request)
        return json_response(await _asked(desk, lambda d: d.check(number, body.check, body.output, author)))

    return router


def _reading(gate: Gate, desk: Desk | None) -> APIRouter:
    router = _router()

    @router.get(
        "/events", summary="The events of the last hours.", response_model=EventsBody, responses=_READ
    )
    async def events(
        request: Request,
        hours: Annotated[float, Query(gt=0, le=24 * 366)] = 24,
        service: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        await gate.known(request, "events")
        return json_response(await _asked(desk, lambda d: d.events(hours, service, limit)))

    @router.get(
        "/incidents",
        summary="Incidents, the newest first.",
        response_model=IncidentsBody,
        responses=_READ,
    )
    async def incidents(
        request: Request,
        state: Literal["open", "ended", "all"] = "all",
        alert: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        await gate.admit_monitor(request, "ask")
        listed = await _asked(desk, lambda d: d.listed(state, limit, alert))
        return json_response(IncidentsBody(incidents=listed))

    @router.get(
        "/incidents/{number:int}",
        summary="An incident with its time line.",
        response_model=WholeIncidentBody,
        responses=_READ,
    )
    async def incident(request: Request, number: int) -> Response:
        await gate.admit_monitor(request, "ask")
        return json_response(await _asked(desk, lambda d: d.whole(number)))

    return router


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
        detail = msg("incidents can't be read or written now: {error}", error=error)
        raise Problem(503, "audit_unavailable", detail, retry_after=RETRY_AFTER) from None
    except TooMany:
        detail = msg("too many incidents are open already")
        raise Problem(503, "overloaded", detail, retry_after=RETRY_AFTER) from None
