"""Loopback vendors: one server per wire format, which plays the part that the model's name asks for.

What vendors refuse is refused by tests/cases/vendors, as they had it on the days that stand there. Nothing
here says anything about what the real vendors answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from vendors.answers import ANSWER, CACHED_TOKENS, ERRORS, INPUT_TOKENS, OUTPUT_TOKENS, PLAYS, WHOLE, graded
from vendors.core import Asked, Vendor, Wire
from vendors.lists import Row
from vendors.plays import documented, play, tabled
from vendors.refusals import Refused

__all__ = [
    "ANSWER",
    "CACHED_TOKENS",
    "INPUT_TOKENS",
    "OUTPUT_TOKENS",
    "PLAYS",
    "WHOLE",
    "Asked",
    "Vendor",
    "Wire",
    "graded",
    "vendor",
]


def _let_in(seen: Vendor, wire: Wire, request: web.Request) -> None:
    """Raise Refused for another key than the one that is let in, or for none where the vendor wants one."""
    given = wire.key(request)
    if (wire.keyed and not given) or (seen.key is not None and given != seen.key):
        raise wire.unknown_key(given)


async def _json(wire: Wire, request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, wire.error(400, "the body is not a JSON object", "invalid_request_error"))
    return body


@asynccontextmanager
async def vendor(wire: Wire) -> AsyncIterator[Vendor]:
    """Run a vendor on a free port of this event loop."""
    seen = Vendor()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            _let_in(seen, wire, request)
            asked = wire.asked(request, await _json(wire, request))
        except Refused as refused:
            seen.refused.append(refused)
            return web.json_response(refused.body, status=refused.status)
        seen.asked.append(asked)
        seen.peers.add(request.transport and request.transport.get_extra_info("peername"))
        seen.under_way.set()
        return await play(seen, wire, request, asked)

    async def show(request: web.Request) -> web.StreamResponse:
        seen.listed += 1
        last = request.path.rpartition("/")[2]
        if (row := documented(wire, last)) is not None:
            return tabled(row, wire.key(request))
        if last in ERRORS:
            status, message, code = ERRORS[last]
            told = wire.error(status, message.format(key=wire.key(request)), code)
            return web.json_response(told, status=status)
        known = [*wire.rows, *(Row(name, context=131072, max_output=65536) for name in sorted(PLAYS))]
        rows = [replace(row, retires=seen.retires.get(row.id, row.retires)) for row in known]
        try:
            if request.path not in wire.open_paths:
                _let_in(seen, wire, request)
            return web.json_response(wire.listed(request, rows))
        except Refused as refused:
            seen.refused.append(refused)
            return web.json_response(refused.body, status=refused.status)

    app = web.Application(client_max_size=8 * 1024**2)
    app.router.add_post("/{path:.*}", answer)
    app.router.add_get("/{path:.*}", show)
    # handler_cancellation: the handler is told when its caller hangs up.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    seen.url = f"http://127.0.0.1:{runner.addresses[0][1]}{wire.prefix}"
    try:
        yield seen
    finally:
        await runner.cleanup()
