"""The vendors of one tree: strict as the lab's, and scripted by the number of the question and the provider.

What is told hangs on neither time nor order, so that two trees are told the same. Replies come in the order
of the providers, one after the other with a pause: else it was chance which one an analysis hears first.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.bench.equal import texts

sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))

from vendors.core import Asked, Wire
from vendors.refusals import Refused
from vendors.wires import WIRES

STEP = 0.01
"""Seconds between the replies of two providers."""
MARK = re.compile(r"#(\d{5})#")
"""The number of a question, in its text."""
_PLAYS = {
    "good": 84, "fenced": 3, "plain": 2, "cut": 3, "filtered": 1, "empty": 1, "half": 1, "other": 1,
    "broken": 1, "broken once": 1, "busy once": 1, "page": 1,
}  # fmt: skip
_LAST = {1: 401, 2: 402, 3: 404}
"""What the first providers tell in the last questions: a cause that lasts opens the breaker."""


@dataclass
class Vendors:
    """What was asked of them, by the number of the question, and how often the same was."""

    seed: int
    lasting: int
    """The number of the question from which on causes last."""
    urls: dict[str, str] = field(default_factory=dict)
    asked: dict[int, list[tuple[str, str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Provider, path and body of each call."""
    refused: list[str] = field(default_factory=list)
    """What broke a vendor's rules."""
    tries: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def of(self, number: int) -> list[tuple[str, str, Any]]:
        """The calls for a question, provider by provider."""
        return sorted(self.asked[number], key=lambda call: call[0])


@asynccontextmanager
async def vendors(seed: int, lasting: int) -> AsyncIterator[Vendors]:
    """One for each kind of provider, on free ports of this event loop."""
    seen = Vendors(seed, lasting)
    runners = []
    for place, (kind, wire) in enumerate(WIRES.items()):
        app = web.Application(client_max_size=8 * 1024**2)
        app.router.add_post("/{path:.*}", _Vendor(seen, kind, wire, place).answer)
        app.router.add_get("/{path:.*}", _nothing)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        seen.urls[kind] = f"http://127.0.0.1:{runner.addresses[0][1]}{wire.prefix}"
        runners.append(runner)
    try:
        yield seen
    finally:
        for runner in runners:
            await runner.cleanup()


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=404)


@dataclass(frozen=True)
class _Vendor:
    seen: Vendors
    kind: str
    wire: Wire
    place: int

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        try:
            asked = self.wire.asked(request, body)
        except Refused as refused:
            self.seen.refused.append(f"{self.kind}: {refused.body}")
            return web.json_response(refused.body, status=refused.status)
        marked = MARK.findall(asked.user)
        number = int(marked[-1])
        self.seen.asked[number].append((self.kind, request.path_qs, body))
        data = _data(asked.user)
        phase = "grade" if "answers" in data else "revise" if "critiques" in data else "answer"
        self.seen.tries[number, self.kind, phase] += 1
        draw = random.Random(f"{self.seen.seed} {number} {self.kind} {phase}")
        await asyncio.sleep(STEP * (1 + self.place))
        return self._play(asked, _Scene(number, phase, draw, data))

    def _play(self, asked: Asked, scene: _Scene) -> web.Response:
        play = scene.draw.choices([*_PLAYS], [*_PLAYS.values()])[0]
        first = self.seen.tries[scene.number, self.kind, scene.phase] == 1
        if scene.number >= self.seen.lasting and self.place in _LAST:
            return self._error(_LAST[self.place])
        if play == "broken" or (play == "broken once" and first):
            return self._error(500)
        if play == "busy once" and first:
            return self._error(429, {"Retry-After": "0"})
        if play == "page":
            return web.Response(status=503, text="<html>no backend</html>", content_type="text/html")
        if play == "other":
            return web.json_response({"hello": ["world"]})
        whole = self._whole(asked, scene, play)
        if play == "half":
            raw = json.dumps(whole)
            return web.Response(text=raw[: len(raw) // 2], content_type="application/json")
        if asked.body.get("stream"):
            return self._stream(whole)
        return web.json_response(whole)

    def _whole(self, asked: Asked, scene: _Scene, play: str) -> dict[str, Any]:
        """The reply, whole."""
        if scene.phase == "grade":
            text = texts.grades(scene.draw, scene.data["answers"])
        else:
            text = json.dumps(texts.answer(scene.draw, scene.number), ensure_ascii=False)
        if play == "fenced":
            text = f"はい。\n```json\n{text}\n```\n以上です。"
        elif play == "plain":
            text = "再起動してください。\n`systemctl restart nginx`\nconfidence: 0.85"
        elif play == "cut":
            text = text[: scene.draw.randint(1, len(text))]
        elif play in {"filtered", "empty"}:
            text = ""
        finish = {"cut": "length", "filtered": "filter"}.get(play, "stop")
        whole: dict[str, Any] = self.wire.reply(asked.model, text, finish, play != "plain", asked.body)
        return whole

    def _error(self, status: int, headers: dict[str, str] | None = None) -> web.Response:
        told = self.wire.error(status, f"It went wrong with {status}", "server_error")
        return web.json_response(told, status=status, headers=headers)

    def _stream(self, whole: dict[str, Any]) -> web.Response:
        # Only Anthropic is asked for streams: each of its events has a name.
        parts = (
            f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
            for name, data in self.wire.events(whole)
        )
        return web.Response(text="".join(parts), content_type="text/event-stream", charset="utf-8")


@dataclass(frozen=True)
class _Scene:
    """What a call is about; `data` is what it shows to be graded or revised."""

    number: int
    phase: str
    draw: random.Random
    data: dict[str, Any]


def _data(user: str) -> dict[str, Any]:
    """The block of data that a grading or a revision holds; nothing for a question."""
    if not user.startswith("<data>\n"):
        return {}
    data: dict[str, Any] = json.loads(user.removeprefix("<data>\n").removesuffix("\n</data>"))
    return data
