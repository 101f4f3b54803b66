"""Bench's upstream: every vendor's good answer after 50 ms, served by a bare protocol so that it is no brake.

It is as strict as the lab's stand-ins with the first call of each connection, since all are alike.
`python -m tests.bench.upstream` prints its port and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import cache
from typing import Any, cast

from techsapo_ops.spec.models.providers import CompatibleProvider
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.openai import Compatible
from techsapo_ops.wallbounce.providers.provider import WORST_CASE
from techsapo_ops.wallbounce.providers.wire import Form
from techsapo_ops.wallbounce.question import Question

DELAY = 0.05
ANSWER: dict[str, Any] = {
    "answer": "ディスクが一杯です。「df -h」で確認し、古いログを消してください。" * 4,
    "root_cause": "ディスクの空き容量が尽きた",
    "claims": ["空き容量が尽きた", "古いログが残っている"],
    "commands": ["df -h"],
    "risk": "reversible",
    "self_conf": 0.9,
}
_SCORE = {"score": 4, "evidence": "原因と対処が合っている"}
_GRADES = {
    "grades": [
        {
            "label": label,
            "claims": [
                {"id": f"c{n}", "evidence": "自分の回答から導かれる", "stance": "entails"}
                for n, _ in enumerate(ANSWER["claims"], 1)
            ],
            "correctness": _SCORE,
            "safety": _SCORE,
            "completeness": _SCORE,
        }
        for label in "AB"
    ]
}
_GRADING = (b'\\"answers\\":[', b"<data>")
"""What only the body of a grading holds."""
_ANSWER = json.dumps(ANSWER, ensure_ascii=False)
_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": _ANSWER}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
}
_RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "model": "m",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": _ANSWER, "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 150,
    },
}
_MESSAGES = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": _ANSWER}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 100, "output_tokens": 50},
}
_GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": _ANSWER}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150},
}


def chat_body(prompt: Prompt) -> bytes:
    """The body of a chat completion as the app sends it."""
    return _chat_model().encoded(prompt, Question("", "en"), Form())


@cache
def _chat_model() -> Compatible:
    section = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1/v1"}
    return Compatible("m", CompatibleProvider.model_validate(section), WORST_CASE)


def _packed(body: dict[str, Any], reply: str) -> bytes:
    whole = json.dumps(body, ensure_ascii=False)
    content = whole.replace(json.dumps(_ANSWER, ensure_ascii=False), json.dumps(reply, ensure_ascii=False))
    length = len(content.encode())
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return (head + content).encode()


_BODIES = (
    (b"/chat/completions", _CHAT),
    (b"/responses", _RESPONSES),
    (b"/messages", _MESSAGES),
    (b":generateContent", _GEMINI),
)
_REPLIES = {
    ending: (_packed(body, _ANSWER), _packed(body, json.dumps(_GRADES, ensure_ascii=False)))
    for ending, body in _BODIES
}


_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _refused(target: str, head: bytes, body: bytes) -> bytes | None:
    """The response with which the vendor refuses a call, or None where it takes it."""
    from tests.bench.strictness import refusal  # what only reads constants of this module needs no rules

    lines = (line.decode().partition(":") for line in head.split(b"\r\n")[1:])
    told = refusal(target, {name.lower(): value.strip() for name, _, value in lines}, body)
    if told is None:
        return None
    status, content = told
    print(f"refused {target}: {content.decode()}", file=sys.stderr, flush=True)
    return b"HTTP/1.1 %d Refused\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)


class Upstream(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._looked_at = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lengths = (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        length = next(lengths, 0)
        if len(body) < length:
            return
        self._buffer = b""
        target = head.split(b" ", 2)[1]
        pair = next((pair for ending, pair in _REPLIES.items() if target.endswith(ending)), None)
        if pair is None:  # a peer's proxy looks around
            self._transport.write(_NOT_FOUND)
            return
        if not self._looked_at:
            self._looked_at = True
            if (told := _refused(target.decode(), head, body)) is not None:
                self._transport.write(told)
                return
        answer, grades = pair
        reply = grades if all(word in body for word in _GRADING) else answer
        asyncio.get_running_loop().call_later(DELAY, self._answer, reply)

    def _answer(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def serve() -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
