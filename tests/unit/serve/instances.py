"""An instance in this process: what it answers, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from orchestrator import client_of
from prometheus_client.parser import text_string_to_metric_families

from techsapo_ops.serve.app import App

T = TypeVar("T")
URL = "/api/v1/generate"
SSE = {"Accept": "text/event-stream"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def within(app: App, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """What `work` returns with a client of `app`, while that runs."""

    async def main() -> T:
        async with client_of(app) as client:
            return await work(client)

    return asyncio.run(main())


def send(app: App, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
    """The answers to requests of a method, a path, and what httpx takes besides."""

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.request(method, path, **more) for method, path, more in requests]

    return within(app, work)


def get(app: App, *paths: str, **headers: str) -> list[httpx.Response]:
    return send(app, *(("GET", path, {"headers": headers}) for path in paths))


def post(app: App, path: str, *bodies: Any, **headers: str) -> list[httpx.Response]:
    """Send each body, as JSON or, where it is bytes, as it is."""
    headers = {"Content-Type": "application/json", **headers}
    ways = ("content" if isinstance(body, bytes) else "json" for body in bodies)
    return send(
        app, *(("POST", path, {way: b, "headers": headers}) for way, b in zip(ways, bodies, strict=True))
    )


async def until(client: httpx.AsyncClient, line: str) -> str:
    """The metrics, once they have `line`."""
    async with asyncio.timeout(60):
        while line not in (text := (await client.get("/metrics")).text):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        return text


def samples(text: str) -> Samples:
    """Each sample of an exposition by name and sorted labels."""
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
