"""Maintenance where no nginx stands before the app: it answers 503 itself."""

from __future__ import annotations

import re
import time
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from techsapo_ops.stack.maintenance import ALONE, OPEN_PATHS, PAGE, PROBLEM, RETRY_AFTER

LOOK = 0.5
"""Seconds between two looks at whether it goes on."""
_OPEN = re.compile(OPEN_PATHS)


class Closed:
    """Answers users from `folder` while maintenance goes on there. It is counted nowhere: nothing failed."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._looked = -LOOK
        self._on = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        asked = scope["type"] in {"http", "websocket"} and not _OPEN.match(scope["path"])
        if not asked or not self._goes_on():
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013, "reason": "maintenance"})
        else:
            await self._answer(scope)(scope, receive, send)

    def _goes_on(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked, self._on = now, all((self._folder / name).exists() for name in (PROBLEM, ALONE))
        return self._on

    def _answer(self, scope: Scope) -> Response:
        accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
        name, kind = (PAGE, "text/html") if b"text/html" in accepts else (PROBLEM, "application/problem+json")
        try:
            content = (self._folder / name).read_bytes()
        except OSError:  # it ends in this moment
            content = b""
        headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
        return Response(content, 503, headers, kind)
