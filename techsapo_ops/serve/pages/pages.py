"""The built-in pages: plain HTML, CSS and ES modules from web/ in one frame, and what they ask for."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from techsapo_ops.catalogue.pages import LOCALES
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.monitoring import DashboardsBody, FiguresBody, RecentBody, StatusBody
from techsapo_ops.serve.http.auth import Gate, first
from techsapo_ops.serve.http.middleware import LANGUAGE_COOKIE
from techsapo_ops.serve.http.problems import Problem, preferred_language
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.metrics.stream import Telemetry
from techsapo_ops.serve.pages.charts import Charts, View
from techsapo_ops.serve.pages.status_report import StatusReport

if TYPE_CHECKING:
    from jinja2 import Environment


_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_WEB = files("techsapo_ops.serve") / "web"
_PAGES = {
    "/": "ask", "/dashboards": "dashboards", "/status": "status", "/incidents": "incidents", "/docs": "docs",
    "/feedback": "feedback",
}  # fmt: skip
"""Files, without their ending, by path."""
_NAMES = ("askPage", "dashboardsPage", "statusPage", "incidentsPage", "api")
_WORDS = tuple(zip(_PAGES, _NAMES, strict=False))
"""What the navigation calls each page, as a key of dictionary.js: all but the last, where messages lead."""


@cache
def _assets() -> dict[str, tuple[bytes, str, str]]:
    """Content, type and ETag by file name."""
    assets = {}
    for entry in _WEB.iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = entry.read_bytes()
            assets[entry.name] = (content, _TYPES[suffix], tag_of(content))
    return assets


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # 2 MB that only readers of pages pay

    return Environment(
        loader=FunctionLoader(lambda name: (_WEB / name).read_text(encoding="utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def page_of(name: str, locale: str, **values: object) -> tuple[bytes, str, str]:
    """Content, type and ETag of the page NAME.html in the frame of all; `values` are its own."""
    known = {"locale": locale, "keys": "off", "people": "one", "here": "", **values}
    content = _templates().get_template(f"{name}.html").render(known, name=name, pages=_WORDS).encode()
    return content, "text/html; charset=utf-8", tag_of(content)


@cache
def _page(path: str, locale: str, keys: str, people: str) -> tuple[bytes, str, str]:
    return page_of(_PAGES[path], locale, keys=keys, people=people, here=path)


def tag_of(content: bytes) -> str:
    """The ETag of a file that holds `content`."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def asked_language(request: Request) -> str | None:
    """The language that `?lang=` asks for; None where it is none of the pages'."""
    asked = request.query_params.get("lang")
    return asked if asked in LOCALES else None


def page_language(request: Request, locale: str) -> str:
    """What `?lang=` asks for, else the reader's last choice, else the browser's language, else `locale`."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)  # set by the button (web/words.js)
    return (
        asked_language(request)
        or (chosen if chosen in LOCALES else None)
        or preferred_language(request.scope)
        or locale
    )


def page_reply(request: Request, content: bytes, media_type: str, tag: str) -> Response:
    """The answer with a page or a file: kept by browsers, and asked for again."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if media_type.startswith("text/html"):
        headers["Vary"] = "Accept-Language, Cookie"
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def page_routes(locale: str, *, keys: bool, people: bool) -> APIRouter:
    """Routes of the pages; `locale` is the language of readers who ask for none. Where questions
    need `keys`, the pages have a field for one. Where `people` are told apart, they keep nothing in a browser
    that the next one at it would read.
    """
    router = APIRouter(include_in_schema=False)
    field, many = "on" if keys else "off", "many" if people else "one"

    # Not async: the first of a page loads the templates, which other requests need not wait for.
    def page(request: Request) -> Response:
        return page_reply(
            request, *_page(request.scope["route"].path, page_language(request, locale), field, many)
        )

    for path in _PAGES:
        router.add_api_route(path, page, methods=["GET", "HEAD"])

    @router.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return page_reply(request, *_assets()["icon.svg"])

    @router.get("/web/{name}")
    async def asset(request: Request, name: str) -> Response:
        entry = _assets().get(name)
        if entry is None:
            raise Problem(404, "not_found", msg("there is no such file"))
        return page_reply(request, *entry)

    return router


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
        dependencies=[first(gate.admit_monitor)],
    )
    async def figures(name: str, view: Annotated[View, Query()]) -> Response:
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
