"""The requests that both trees are sent: questions of every shape, repeats of them, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench.equal.texts import question

TIERS = ("basic", "premium", "critical")
REFUSED = ("nobody", "unknown", "malformed", "revoked", "expired", "monitor", "poor")
CHAT = "/v1/chat/completions"
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Sent:
    """A request; `number` is that of the question, `caller` the name of a key."""

    number: int
    path: str
    body: bytes
    caller: str = "ops"
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def described(self) -> str:
        """The request in one line."""
        told = " ".join(f"{name}: {value}" for name, value in self.headers.items())
        body = self.body[:100].decode(errors="replace")
        return f"{self.number} {self.caller} {self.method} {self.path} {told} {body}"


def script(count: int, seed: int) -> Iterator[Sent]:
    """`count` requests, always the same for a seed."""
    draw, made = random.Random(seed), list[Sent]()
    for number in range(count):
        sort = draw.random()
        if sort < 0.07:
            yield _refused(draw, number)
        elif sort < 0.22 and made:
            earlier = draw.choice(made[-200:])
            headers = draw.choice(({}, STREAM, earlier.headers))
            yield Sent(earlier.number, earlier.path, earlier.body, headers=headers)
        else:
            made.append(_asked(draw, number))
            yield made[-1]


def _asked(draw: random.Random, number: int) -> Sent:
    headers = dict(STREAM) if draw.random() < 0.25 else {}
    if draw.random() < 0.1:
        headers["Idempotency-Key"] = f"key-{number}"
    if draw.random() < 0.1:
        headers["X-User-Id"] = f"user{number % 7}"
    tier, text = draw.choices(TIERS, (4, 4, 2))[0], f"#{number:05}# {question(draw)}"
    language: dict[str, Any] = {"language": draw.choice(("ja", "en"))} if draw.random() < 0.3 else {}
    sort = draw.random()
    if sort < 0.15:
        command = draw.choice(("", "systemctl start nginx"))
        body = {"error_output": text, "user_command": command, "task_type": tier}
        return Sent(number, "/api/v1/analyze-logs", _packed({**body, **language}), headers=headers)
    if sort < 0.3:
        return Sent(number, CHAT, _packed(_chat(draw, tier, text)), headers=headers)
    html = "?html=true" if draw.random() < 0.1 else ""
    body = {"prompt": text, "task_type": tier, **language}
    return Sent(number, f"/api/v1/generate{html}", _packed(body), headers=headers)


def _chat(draw: random.Random, tier: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    if draw.random() < 0.5:
        earlier = {"role": "assistant", "content": question(draw)[:2_000]}
        messages = [{"role": "system", "content": "短く答えてください。"}, messages[0], earlier, messages[0]]
    more = {"stream": True, "stream_options": {"include_usage": True}} if draw.random() < 0.4 else {}
    notes = "+notes" if draw.random() < 0.4 else ""
    return {"model": f"techsapo-{tier}{notes}", "messages": messages, **more}


def _refused(draw: random.Random, number: int) -> Sent:
    """What is not answered, whatever the vendors say."""
    good, path = {"prompt": f"#{number:05}# disk full"}, "/api/v1/generate"
    return draw.choice(
        (
            *(Sent(number, path, _packed(good), name) for name in REFUSED),
            Sent(number, path, b"{"),
            Sent(number, path, b"[]"),
            Sent(number, path, _packed({"prompt": ""})),
            Sent(number, path, _packed({"prompt": " \n"})),
            Sent(number, path, _packed({**good, "prompt": "あ" * 20_001})),
            Sent(number, path, _packed({**good, "color": "red"})),
            Sent(number, path, _packed({**good, "task_type": "huge"})),
            Sent(number, path, _packed({**good, "language": "de"}), headers=STREAM),
            Sent(number, path + "?html=perhaps", _packed(good)),
            Sent(number, path, _packed(good), headers={"Content-Type": "text/plain"}),
            Sent(number, path, _packed(good), headers={"Idempotency-Key": "a b"}),
            Sent(number, path, b"x" * (1024 * 1024 + 1)),
            Sent(number, path, b"", method="GET"),
            Sent(number, "/api/v1/nothing", b"", method="GET"),
            Sent(number, "/api/v1/analyze-logs", _packed({"error_output": " "})),
            Sent(number, CHAT, _packed({"model": "gpt-5", "messages": []})),
            Sent(
                number,
                CHAT,
                _packed({"model": "techsapo-basic", "messages": [], "tools": []}),
            ),
            Sent(number, "/v1/models", b"", method="GET"),
            Sent(number, "/openapi.json", b"", method="GET"),
        )
    )


def _packed(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
