"""What a request costs at the least: uvicorn, 3 upstream calls at once over aiohttp, then 3 more, JSON read.

`python -m tests.bench.bare_peer PORT UPSTREAM` serves until it is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from techsapo_ops.wallbounce.answers import Answer, Peer, Tokens
from techsapo_ops.wallbounce.examination.prompts import answer_prompt, grade_prompt
from techsapo_ops.wallbounce.question import Question
from tests.bench.upstream import ANSWER, chat_body

_HEADERS = [(b"content-type", b"application/json")]


class BarePeer:
    """An ASGI app."""

    def __init__(self, upstream: str) -> None:
        self._url = f"{upstream}/v1/chat/completions"
        question = Question("ディスクが一杯です", "ja")
        own = Answer("a", "m", ANSWER["answer"], Tokens(), 0.0, 0.0)
        peers = [Peer(x, ANSWER["answer"], ANSWER["root_cause"], tuple(ANSWER["claims"])) for x in "AB"]
        self._rounds = [
            chat_body(prompt) for prompt in (answer_prompt(question), grade_prompt(question, peers, own))
        ]
        self._session: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        last: Any = {}
        if scope["path"] != "/ping":
            for body in self._rounds:
                last = await asyncio.gather(*(self._call(body) for _ in range(3)))
        content = json.dumps({"accepted": True, "answers": last}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": content})

    async def _call(self, body: bytes) -> Any:
        async with self._session.post(self._url, data=body) as response:
            reply = json.loads(await response.read())
            return json.loads(reply["choices"][0]["message"]["content"])

    async def _lifespan(self, receive: Any, send: Any) -> None:
        import aiohttp

        await receive()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1024)) as self._session:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        BarePeer(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False,
        loop="uvloop", http="httptools", ws="none", timeout_graceful_shutdown=1,
    )  # fmt: skip
