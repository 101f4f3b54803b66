"""What `techsapo providers test` tells an instance: which providers answered, so that they are asked again.

By a proof that is made with the app's key (stores/drill_seal.py), as a drill's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from techsapo_ops.serve.auth import Caller
from techsapo_ops.serve.body_route import body_route
from techsapo_ops.serve.drill import admit_sealed
from techsapo_ops.serve.responses import json_response
from techsapo_ops.stores.drill_seal import TESTED_PATH, DrillSeal
from techsapo_ops.wallbounce.registry import Registry


class Answered(BaseModel):
    """Which provider answered its test."""

    model_config = ConfigDict(extra="forbid")
    provider: Annotated[str, Field(max_length=200)]


def tested_routes(seal: DrillSeal | None, registry: Registry, instance: str) -> APIRouter:
    """The route at TESTED_PATH. Without `seal` nobody can prove anything."""

    async def admit(request: Request) -> Caller:
        await admit_sealed(seal, request, "post")
        return Caller(None, None, "")

    router = APIRouter(route_class=body_route(admit), include_in_schema=False)

    @router.post(TESTED_PATH)
    async def answered(body: Answered, request: Request) -> Response:  # noqa: ARG001 - the route reads it
        closed = [b.answered() for b in registry.breakers if b.provider == body.provider]
        return json_response({"instance": instance, "closed": any(closed)})

    return router
