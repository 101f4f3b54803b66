"""How much one client may have open, told by the proxy that is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK, make_spec

from techsapo_ops.serve.app import App
from techsapo_ops.serve.crowd import PLACE, Crowd, to_stream
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.problems import Problem
from techsapo_ops.spec.models.app import Limits

SLOW = {name: {**provider, "latency": {"mean": "30s", "jitter": 0}} for name, provider in QUICK.items()}
URL = "/api/v1/generate"


def through_nginx(directory: Path, proxies: tuple[str, ...], clients: list[str]) -> list[int | None]:
    """The statuses that `clients` get, each for a question to slow providers; None while there is none."""
    limits = {"client_connections": 2, "concurrency": 50}
    auth: dict[str, Any] = {"required": False, "proxies": proxies}
    spec = make_spec(app={"limits": limits, "auth": auth}, providers=SLOW)
    app = App(Options(spec, "app-1", directory / "data"))
    transport = httpx.ASGITransport(app.asgi)  # it says that it is 127.0.0.1

    async def main() -> list[int | None]:
        async with (
            app.asgi.router.lifespan_context(app.asgi),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client,
        ):
            asked = [
                asyncio.create_task(
                    client.post(URL, json={"prompt": f"{n}"}, headers={"X-Forwarded-For": address})
                )
                for n, address in enumerate(clients)
            ]
            await until(lambda: app.metrics.samples("techsapo_inflight_analyses")[0][1] >= 2)
            await asyncio.wait(asked, timeout=0.1)
            statuses = [task.result().status_code if task.done() else None for task in asked]
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            return statuses

    return asyncio.run(main())


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110 - the app has no event for it
            await asyncio.sleep(0.01)


def test_requests_through_a_proxy_count_for_the_client_that_it_names(tmp_path: Path) -> None:
    clients = ["192.0.2.1"] * 3 + ["192.0.2.2"] * 2
    assert through_nginx(tmp_path, ("127.0.0.1",), clients) == [None, None, 429, None, None]


def test_whom_somebody_else_names_is_nobody(tmp_path: Path) -> None:
    """Their connections count for themselves, at the door."""
    assert through_nginx(tmp_path, ("192.0.2.9",), ["192.0.2.1"] * 4) == [None] * 4


def test_streams_are_counted_apart_and_within_their_own_bound() -> None:
    crowd = Crowd(Limits.model_validate({"client_connections": 3}))

    def scope() -> dict[str, Any]:
        return {"extensions": {PLACE: crowd.connected("192.0.2.1")}, "state": {}}

    streams = [scope() for _ in range(2)]
    for each in streams:
        to_stream(each)
        to_stream(each)  # once is enough
    assert crowd.open() == (0, 0, 1), "they take no place of a connection"
    streams.append(scope())
    to_stream(streams[-1])
    one_more = scope()
    with pytest.raises(Problem, match="3 streams to your address are open already") as refused:
        to_stream(one_more)
    assert (refused.value.status, refused.value.code) == (429, "too_many_connections")
    for each in (*streams, one_more):
        each["extensions"][PLACE].leave()
        each["extensions"][PLACE].leave()
    assert crowd.open() == (0, 0, 0)
