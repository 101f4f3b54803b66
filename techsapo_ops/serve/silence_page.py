"""/alerts/NAME/silence: the form to which a message leads, for who does not reach Alertmanager itself.

A link changes nothing, since previews of chats and scanners of mail open it: the page asks, and its form
sends a request of its own, which needs somebody who signed in or an API key of scope operate.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, field_validator
from starlette.responses import Response

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.catalogue.alerts import WATCHDOG, alerts
from techsapo_ops.messages import msg
from techsapo_ops.serve.auth import Caller, Gate
from techsapo_ops.serve.body_route import body_route
from techsapo_ops.serve.hosts import SameOrigin
from techsapo_ops.serve.pages import asked_language, page_of, page_reply
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.responses import json_response
from techsapo_ops.services.alertmanager.silencing import HOURS, LONGEST_COMMENT, WHY_NOT_WATCHDOG, is_comment

log = structlog.get_logger()


class SilenceBody(BaseModel):
    """What the form says."""

    model_config = ConfigDict(extra="forbid", strict=True)
    hours: int
    comment: str

    @field_validator("hours")
    @classmethod
    def offered(cls, hours: int) -> int:
        """Raises Problem for a time that the form does not offer."""
        if hours not in HOURS:
            detail = msg("hours must be one of {map}", map=", ".join(map(str, HOURS)))
            raise Problem(422, "invalid_request", detail)
        return hours

    @field_validator("comment")
    @classmethod
    def on_one_line(cls, comment: str) -> str:
        """The comment with single spaces. Raises Problem for none, and for one that is not printable."""
        words = " ".join(comment.split())
        if not words:
            raise Problem(422, "invalid_request", msg("comment must say why: others will see it"))
        if not is_comment(words):
            detail = msg(
                "comment must be at most {longest_comment} printable characters",
                longest_comment=LONGEST_COMMENT,
            )
            raise Problem(422, "invalid_request", detail)
        return words


def silence_routes(
    locale: str, gate: Gate, origins: SameOrigin, alertmanager: Alertmanager | None
) -> APIRouter:
    """The page, and what its form asks for; `alertmanager` is None where the stack has none."""
    router = APIRouter(include_in_schema=False)

    async def form(request: Request, name: str) -> Response:
        page = page_of(
            "silence", asked_language(request) or locale, keys="on" if gate.needs_keys else "off",
            alert=name, hours=HOURS, possible=gate.has_operators and alertmanager is not None,
            longest=LONGEST_COMMENT, refused=_refused(name),
        )  # fmt: skip
        if name in alerts():
            return page_reply(request, *page)
        return Response(page[0], 404, media_type=page[1])

    async def admit(request: Request) -> Caller:
        await origins.check(request)
        return Caller(None, None, str(request.state.client), await gate.admit_operator(request))

    async def silence(body: SilenceBody, request: Request) -> Response:
        name, by = str(request.path_params["name"]), str(request.state.caller.user)
        _require_name(name)
        if alertmanager is None:
            raise Problem(404, "not_found", msg("this stack runs no Alertmanager"))
        now = datetime.now(UTC)
        until = now + timedelta(hours=body.hours)
        try:
            made = await asyncio.to_thread(
                alertmanager.silence, [Matcher("alertname", "=", name)], now, until, by, body.comment
            )
        except (Unreachable, ApiError) as error:
            log.warning("An alert can't be silenced", alert=name, error=error.message)
            raise Problem(503, "unreachable", msg("Alertmanager does not answer")) from None
        log.info(
            "Alert silenced", alert=name, by=by, until=until.isoformat(), silence=made,
            client=str(request.state.client), requestId=request.state.request_id,
        )  # fmt: skip
        return json_response({"id": made, "alert": name, "by": by, "until": until.isoformat()}, 201)

    router.add_api_route("/alerts/{name}/silence", form, methods=["GET", "HEAD"])
    router.add_api_route(
        "/api/v1/alerts/{name}/silence",
        silence,
        methods=["POST"],
        route_class_override=body_route(admit),
    )
    return router


def _refused(name: str) -> str:
    """Why the alert can't be silenced, as a key of dictionary.js; empty where it can."""
    if name == WATCHDOG:
        return "silenceWatchdog"
    return "" if name in alerts() else "silenceUnknown"


def _require_name(name: str) -> None:
    match _refused(name):
        case "silenceWatchdog":
            raise Problem(
                403,
                "forbidden",
                msg(
                    "{watchdog} can't be silenced: {why_not_watchdog}",
                    watchdog=WATCHDOG,
                    why_not_watchdog=WHY_NOT_WATCHDOG,
                ),
            )
        case "silenceUnknown":
            raise Problem(
                404,
                "not_found",
                msg(
                    "there is no such alert; one of your own rules: on the host, by `techsapo alerts "
                    "silence --matcher alertname=NAME`"
                ),
            )
