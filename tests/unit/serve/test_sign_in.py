"""Where people sign in: who gets a page without, what a key opens, and where the sign-in leads back to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from orchestrator import client_of, make_spec

from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.auth import KEYED_ROUTES, RETURN_HEADER

SECRET = "s" * 32
SIGN_IN = {"address": "http://127.0.0.1:4180", "secret": SECRET}
SIGNED_IN = {"X-Techsapo-User": "hanako@example.com", "X-Techsapo-Sign-In": SECRET}
FORGED = {"X-Techsapo-User": "root", "X-Techsapo-Sign-In": "x" * 32}
BY_NGINX = {"X-Forwarded-For": "203.0.113.9"}
OPEN = {"/ping", "/health", "/openapi.json", "/sign-in"}
DRILL = "/api/v1/drill"

Work = Callable[[App, httpx.AsyncClient], Awaitable[Any]]


def run(directory: Path, work: Work, *, keys: bool = True) -> Any:
    auth = {"sign_in": SIGN_IN, "required": keys}
    app = App(Options(make_spec(locale="en", app={"auth": auth}), "app-1", directory / "data"))

    async def main() -> Any:
        async with client_of(app) as client:
            return await work(app, client)

    return asyncio.run(main())


def routes(app: App) -> set[tuple[str, str]]:
    """Every method and address that the app answers, each name in it filled in; WebSockets left out."""
    every = [
        each for r in app.asgi.routes for each in getattr(getattr(r, "original_router", None), "routes", [r])
    ]
    return {
        (method, re.sub(r"\{[^}]*\}", "AppDown", route.path))
        for route in every
        for method in getattr(route, "methods", None) or ()
    }


def test_without_a_user_no_route_answers_but_probes_and_those_that_check_keys(tmp_path: Path) -> None:
    async def work(app: App, client: httpx.AsyncClient) -> dict[tuple[str, str, str], httpx.Response]:
        return {
            (method, path, str(headers)): await client.request(method, path, headers=headers)
            for headers in ({}, FORGED, FORGED | BY_NGINX, {"X-API-Key": "junk"})
            for method, path in routes(app)
            if path not in OPEN and not re.search(KEYED_ROUTES, path)
        }

    answers = run(tmp_path, work)
    assert {"/", "/status", "/help", "/runbooks/AppDown", "/web/AppDown"} <= {path for _, path, _ in answers}
    assert ("POST", "/alerts/AppDown/acknowledge", "{}") in answers
    assert {key: a.status_code for key, a in answers.items() if a.status_code != 401} == {}
    assert {a.json()["code"] for (method, *_), a in answers.items() if method != "HEAD"} == {"sign_in"}


def test_who_signed_in_gets_the_pages(tmp_path: Path) -> None:
    async def work(_: App, client: httpx.AsyncClient) -> list[int]:
        return [
            (await client.get(path, headers=SIGNED_IN)).status_code for path in ("/", "/status", "/runbooks")
        ]

    assert run(tmp_path, work) == [200, 200, 200]


def test_who_is_let_in_without_a_name_is_told_what_the_sign_in_service_lacks(tmp_path: Path) -> None:
    async def work(_: App, client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/status", headers={"X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": ""})

    answer = run(tmp_path, work)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in")
    assert "--set-xauthrequest" in answer.json()["detail"]


def test_a_wrong_key_opens_none_of_the_routes_where_nginx_takes_a_key_for_a_sign_in(tmp_path: Path) -> None:
    async def work(app: App, client: httpx.AsyncClient) -> dict[tuple[str, str], int]:
        headers = {**BY_NGINX, "X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": "", "X-API-Key": "junk"}
        return {
            (method, path): (await client.request(method, path, headers=headers, json={})).status_code
            for method, path in routes(app)
            if re.search(KEYED_ROUTES, path) and not path.startswith(DRILL)
        }

    answers = run(tmp_path, work)
    assert len(answers) > 10
    refused = {key: status for key, status in answers.items() if status not in {401, 403}}
    assert refused == {}


def test_the_sign_in_is_told_one_escaped_address_of_this_server_to_come_back_to(tmp_path: Path) -> None:
    back = {
        "/ask?a=1&b=%26&rd=//evil": None, "/alerts/X/acknowledge?signature=a-_b": None,
        "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/", "": "/",
        "/\x07": "/", "/" + "&" * 700: "/", "/" + "a" * 2000: None,
    }  # fmt: skip

    async def work(_: App, client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get("/sign-in", headers={RETURN_HEADER: wanted}) for wanted in back]

    for (wanted, leads), answer in zip(back.items(), run(tmp_path, work), strict=True):
        parts = urlsplit(answer.headers["location"])
        assert (answer.status_code, parts.scheme, parts.netloc, parts.path) == (
            302,
            "",
            "",
            "/oauth2/sign_in",
        )
        told = parse_qs(parts.query, strict_parsing=True, keep_blank_values=True)
        assert told == {"rd": [leads or wanted]}
        assert answer.headers["cache-control"] == "no-store"
