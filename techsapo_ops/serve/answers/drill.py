"""What the tool itself asks, by a proof that is made with the app's key (stores/app_key.py).

A drill's requests cost nothing, and are counted by themselves.

They go the way of every other: nginx, the middleware, Idempotency-Key, the audit log. What they leave out is
the gate (their proof takes its place), the cache of answers, the places of `app.limits.concurrency`, and all
that has to do with models and money.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.audit_trail import on_disk
from techsapo_ops.serve.bodies.base import Document
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.idempotency import Idempotency
from techsapo_ops.serve.http.middleware import DRILL as STATE
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import body_route
from techsapo_ops.serve.http.responses import json_response, while_connected
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import DRILL, AuditRow

PATH = "/api/v1/drill"
ALERT_PATH = "/api/v1/drill/alert"
ALERT_SECONDS = 7200.0
"""The longest for which the alert of a drill fires: so long somebody may take to acknowledge it."""
_LENGTH = re.compile(r"[0-9]{1,3}")
"""Bytes of a body that is looked at before its proof is."""


class DrillBody(BaseModel):
    """What a drill's POST says."""

    model_config = ConfigDict(extra="forbid")
    seconds: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = 0.3
    """How long the answer takes: as a model would."""


class AlertBody(BaseModel):
    """For how long the alert of a drill fires from now on, 0 to end it, and whether it pages."""

    model_config = ConfigDict(extra="forbid")
    seconds: Annotated[float, Field(ge=0, le=ALERT_SECONDS, allow_inf_nan=False)]
    page: bool = False


class DrillAlert:
    """Until when this instance makes the alert of a drill fire. It forgets with its process."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._until = 0.0
        self._page = ""

    def fire(self, seconds: float, *, page: bool) -> None:
        """Fire for so long, and no longer; as a page or not."""
        self._until, self._page = self._now() + seconds, "true" if page else ""

    def samples(self) -> Sequence[Sample]:
        """The end of it, as seconds since 1970; nothing once it is over."""
        return [({"page": self._page}, self._until)] if self._until > self._now() else []


def drill_routes(
    seal: DrillSeal | None,
    idempotency: Idempotency,
    audit: AuditLog,
    instance: str,
    alert: DrillAlert,
) -> APIRouter:
    """The routes below PATH. Without `seal` nobody can prove anything, and nobody is let in."""

    async def admit(request: Request) -> Caller:
        await admit_sealed(seal, request, "post")
        return Caller(None, None, "")

    router = APIRouter(route_class=body_route(admit), include_in_schema=False)

    @router.get(PATH)
    async def get(request: Request) -> Response:
        await admit_sealed(seal, request, "get")
        return json_response({"request_id": request.state.request_id, "instance": instance})

    @router.post(PATH)
    async def post(body: DrillBody, request: Request) -> Response:
        async def work(_: object) -> Document:
            return await _carried_out(audit, instance, str(request.state.request_id), body.seconds)

        caller: Caller = request.state.caller
        document = await while_connected(request, idempotency.once(request, caller, body, work))
        return Response(status_code=499) if document is None else json_response(document)

    @router.post(ALERT_PATH)
    async def fire(body: AlertBody, request: Request) -> Response:
        alert.fire(body.seconds, page=body.page)
        return json_response({"request_id": request.state.request_id, "instance": instance})

    return router


async def admit_sealed(seal: DrillSeal | None, request: Request, kind: str) -> None:
    """Let in who proves to have the app's key. Raises Problem for a request that its proof was not made for,
    body and key too.
    """
    proof = request.headers.get(DRILL_HEADER, "")
    name, path = str(request.state.request_id), str(request.scope["path"])
    # Sent again with another key, a request that was overheard would be a new one.
    key = request.headers.get("idempotency-key")
    if seal is None or not proof or (kind == "post" and path == PATH and key != name):
        raise _refused()
    length = request.headers.get("content-length", "" if "transfer-encoding" in request.headers else "0")
    if not _LENGTH.fullmatch(length):  # nobody is let in yet
        raise _refused()
    if not seal.holds(proof, request.method, path, name, await _sent(request)):
        raise _refused()
    request.scope["state"][STATE] = kind


async def _sent(request: Request) -> bytes:
    """The body. Raises Problem where it does not come."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise _refused() from None


def _refused() -> Problem:
    return Problem(401, "unauthorized", msg("only drills of this stack may send this request"))


async def _carried_out(audit: AuditLog, instance: str, request_id: str, seconds: float) -> dict[str, Any]:
    """Take as long as asked, and write it down; `execution` tells one time from another."""
    began, started, execution = datetime.now(UTC), perf_counter(), uuid.uuid4().hex
    await asyncio.sleep(seconds)
    stored = audit.put(
        AuditRow(
            id=execution,
            time=began,
            instance=instance,
            request_id=request_id,
            task_type=DRILL,
            simulated=True,
            status=DRILL,
            processing_ms=round((perf_counter() - started) * 1000),
        )
    )
    await on_disk(stored, request_id)
    return {"request_id": request_id, "instance": instance, "execution": execution}
