"""The built-in pages: plain HTML, CSS and ES modules from web/."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from techsapo_ops.serve.problems import Problem

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def _assets() -> dict[str, tuple[bytes, str, str]]:
    """Content, type and ETag by file name."""
    found = {}
    for entry in (files("techsapo_ops.serve") / "web").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = entry.read_bytes()
            found[entry.name] = (content, _TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


def _serve(request: Request, name: str, locale: str) -> Response:
    asset = _assets().get(name)
    if asset is None:
        raise Problem(404, "not_found", "there is no such file")
    content, media_type, tag = asset
    if name.endswith(".html"):
        content = content.replace(b"__LOCALE__", locale.encode())
        tag = f'{tag[:-1]}-{locale}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def page_routes(locale: str) -> APIRouter:
    """Routes of the pages; `locale` is the language shown until the user chooses another."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def ask(request: Request) -> Response:
        return _serve(request, "ask.html", locale)

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return _serve(request, "docs.html", locale)

    @router.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return _serve(request, "icon.svg", locale)

    @router.get("/web/{name}")
    async def asset(request: Request, name: str) -> Response:
        return _serve(request, name, locale)

    return router
