"""PromQL for whoever has a key for it: values of the last minutes, bounded in number, time and size."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import Body, problem_responses
from techsapo_ops.serve.http.auth import Gate, first
from techsapo_ops.serve.http.problems import Problem, require_text
from techsapo_ops.serve.http.responses import json_response

MOST_SERIES = 20
POINTS = 60
AT_ONCE = 2
"""Queries under way: those of the pages must not wait for them."""


class QueriedBody(Body):
    labels: dict[str, str]
    values: Annotated[
        list[float | None],
        Field(description="One value for each of `times`; null: no value, or not a number."),
    ]


class QueryBody(Body):
    """The series of an expression, those with the largest last values first."""

    times: Annotated[list[float], Field(description="Unix seconds.")]
    series: list[QueriedBody]
    left_out: Annotated[int, Field(description=f"Series beyond the first {MOST_SERIES}.")]


def query_routes(gate: Gate, prometheus: Prometheus | None) -> APIRouter:
    """The route; where keys are needed, every caller needs one: Prometheus itself has a login."""
    router = APIRouter(prefix="/api/v1", tags=["monitoring"])
    slots = asyncio.Semaphore(AT_ONCE)

    @router.get(
        "/metrics/query",
        summary="Evaluate a PromQL expression over the last minutes.",
        response_model=QueryBody,
        responses=problem_responses(401, 403, 422, 503),
        dependencies=[first(gate.known, "monitor")],
    )
    async def query(
        query: Annotated[str, Query(max_length=2000)] = "",
        minutes: Annotated[int, Query(ge=1, le=43_200)] = 60,
    ) -> Response:
        require_text("query", query)
        if prometheus is None:
            raise Problem(503, "no_prometheus", msg("this stack has no Prometheus"))
        end, step = math.floor(time.time()), 60.0 * minutes / POINTS
        times = [end - step * n for n in range(POINTS, -1, -1)]
        try:
            async with slots:
                found = await asyncio.to_thread(prometheus.query_range, query, times[0], end, step)
        except ApiError as error:
            raise Problem(422, "invalid_request", error.message) from None
        except Unreachable as error:
            raise Problem(503, "no_prometheus", msg("Prometheus: {message}", message=error.message)) from None
        ordered = sorted(
            found, key=lambda each: _number(each.values.get(times[-1])) or -math.inf, reverse=True
        )
        series = [
            QueriedBody(labels=dict(each.labels), values=[_number(each.values.get(when)) for when in times])
            for each in ordered[:MOST_SERIES]
        ]
        return json_response(QueryBody(times=times, series=series, left_out=max(len(found) - MOST_SERIES, 0)))

    return router


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
