"""Where people sign in: who gets a page without, what a key opens, and where the sign-in leads back to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from instances import get, send
from orchestrator import make_app

from techsapo_ops.serve.app import App
from techsapo_ops.spec.front_door import KEYED_ROUTES, RETURN_HEADER

SECRET = "s" * 32
SIGN_IN = {"address": "http://127.0.0.1:4180", "secret": SECRET}
SIGNED_IN = {"X-Techsapo-User": "hanako@example.com", "X-Techsapo-Sign-In": SECRET}
FORGED = {"X-Techsapo-User": "root", "X-Techsapo-Sign-In": "x" * 32}
BY_NGINX = {"X-Forwarded-For": "203.0.113.9"}
OPEN = {"/ping", "/health", "/openapi.json", "/sign-in"}
DRILL = "/api/v1/drill"


def made(directory: Path) -> App:
    return make_app(directory, locale="en", app={"auth": {"sign_in": SIGN_IN, "required": True}})


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
    app = made(tmp_path)
    asked = [
        (method, path, {"headers": headers})
        for headers in ({}, FORGED, FORGED | BY_NGINX, {"X-API-Key": "junk"})
        for method, path in routes(app)
        if path not in OPEN and not re.search(KEYED_ROUTES, path)
    ]
    paths = {(method, path) for method, path, _ in asked}
    assert {("GET", p) for p in ("/", "/status", "/help", "/runbooks/AppDown", "/web/AppDown")} <= paths
    assert ("POST", "/alerts/AppDown/acknowledge") in paths
    for request, answer in zip(asked, send(app, *asked), strict=True):
        assert answer.status_code == 401, request
        assert request[0] == "HEAD" or answer.json()["code"] == "sign_in", request


def test_who_is_let_in_without_a_name_is_told_what_the_sign_in_service_lacks(tmp_path: Path) -> None:
    nameless = {"X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": ""}
    (answer,) = get(made(tmp_path), "/status", **nameless)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in")
    assert "--set-xauthrequest" in answer.json()["detail"]


def test_a_wrong_key_opens_none_of_the_routes_where_nginx_takes_a_key_for_a_sign_in(tmp_path: Path) -> None:
    app = made(tmp_path)
    headers = {**BY_NGINX, "X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": "", "X-API-Key": "junk"}
    asked = [
        (method, path, {"headers": headers, "json": {}})
        for method, path in routes(app)
        if re.search(KEYED_ROUTES, path) and not path.startswith(DRILL)
    ]
    assert len(asked) > 10
    answers = zip(asked, send(app, *asked), strict=True)
    assert [request for request, answer in answers if answer.status_code not in {401, 403}] == []


def test_a_wrong_key_learns_of_no_route_what_its_parameters_must_be(tmp_path: Path) -> None:
    app = make_app(tmp_path, locale="en", app={"auth": {"required": True, "monitoring_networks": []}})
    stranger = {"X-API-Key": "junk", "X-Forwarded-For": "203.0.113.9"}
    operations = app.asgi.openapi()["paths"]
    asked: list[tuple[str, str, dict[str, Any]]] = [
        (method.upper(), re.sub(r"\{[^}]*\}", "%00", path), {"headers": stranger, "params": hostile(known)})
        for path, methods in operations.items()
        for method, known in methods.items()
        if re.search(KEYED_ROUTES, path) and not path.startswith(DRILL)
    ]
    assert {"days", "query", "span", "html"} <= {p for *_, more in asked for p in more["params"]}
    answers = zip(asked, send(app, *asked), strict=True)
    assert [(request, answer.status_code) for request, answer in answers if answer.status_code != 401] == []


def hostile(operation: dict[str, Any]) -> dict[str, str]:
    """A value that fits no type for each parameter of a query, and one that nobody knows."""
    named = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    return dict.fromkeys((*named, "unknown"), "\x00" + "x" * 3000)


def test_the_sign_in_is_told_one_escaped_address_of_this_server_to_come_back_to(tmp_path: Path) -> None:
    back = {
        "/ask?a=1&b=%26&rd=//evil": None, "/alerts/X/acknowledge?signature=a-_b": None,
        "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/", "": "/",
        "/\x07": "/", "/" + "&" * 700: "/", "/" + "a" * 2000: None,
    }  # fmt: skip

    asked = (("GET", "/sign-in", {"headers": {RETURN_HEADER: wanted}}) for wanted in back)
    for (wanted, leads), answer in zip(back.items(), send(made(tmp_path), *asked), strict=True):
        parts = urlsplit(answer.headers["location"])
        assert (answer.status_code, *parts[:3]) == (302, "", "", "/oauth2/sign_in")
        told = parse_qs(parts.query, strict_parsing=True, keep_blank_values=True)
        assert told == {"rd": [leads or wanted]}
        assert answer.headers["cache-control"] == "no-store"
