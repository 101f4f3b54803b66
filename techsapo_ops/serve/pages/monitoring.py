"""What the built-in pages ask for: dashboards and their figures, the last minutes, the overview."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from techsapo_ops.serve.bodies.monitoring import DashboardsBody, FiguresBody, RecentBody, StatusBody
from techsapo_ops.serve.bodies.problem import problem_responses
from techsapo_ops.serve.http.auth import Gate
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.metrics.telemetry import Telemetry
from techsapo_ops.serve.pages.charts import Charts, View
from techsapo_ops.serve.pages.status_report import StatusReport


def monitoring_routes(gate: Gate, charts: Charts, telemetry: Telemetry, report: StatusReport) -> APIRouter:
    """Routes for looking at the inside; they need what /metrics needs."""
    router = APIRouter(prefix="/api/v1", tags=["monitoring"])

    @router.get(
        "/dashboards",
        summary="The dashboards, and where their figures come from.",
        response_model=DashboardsBody,
        responses=problem_responses(401, 403),
    )
    async def catalogue(request: Request) -> Response:
        await gate.admit_monitor(request)
        return json_response(await charts.catalogue())

    @router.get(
        "/dashboards/{name}",
        summary="The figures of one dashboard, from Prometheus.",
        response_model=FiguresBody,
        responses=problem_responses(401, 403, 404, 422, 503),
    )
    async def figures(request: Request, name: str, view: Annotated[View, Query()]) -> Response:
        await gate.admit_monitor(request)
        return json_response(await charts.figures(name, view))

    @router.get(
        "/metrics/recent",
        summary="This instance's figures of the last ten minutes.",
        response_model=RecentBody,
        responses=problem_responses(401, 403),
    )
    async def recent(request: Request) -> Response:
        await gate.admit_monitor(request)
        return json_response(telemetry.history())

    @router.get(
        "/status",
        summary="Health, alerts, jobs and costs in one document.",
        response_model=StatusBody,
        responses=problem_responses(401, 403),
    )
    async def status(request: Request) -> Response:
        await gate.admit_monitor(request)
        return json_response(await report.body())

    return router
