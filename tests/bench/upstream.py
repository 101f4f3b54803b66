"""Bench's upstream: every vendor's good answer after 50 ms, served by a bare protocol so that it is no brake.

It is as strict as the lab's stand-ins with the first call of each connection, since all are alike.
`python -m tests.bench.upstream equal` or `different` prints its port and serves until its standard input
closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import count, repeat
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
LENGTH = 2_000
"""Characters of a long answer, without its block of commands."""
_COMMANDS = (
    "df -h /var/lib/docker{n}", "sudo journalctl -u nginx.service --since '-{n}h' | tail -n 50",
    "find /var/log/app{n} -name '*.gz' -mtime +7", "systemctl status nginx@{n}", "ss -ltnp | grep :{n}",
    "kubectl -n prod{n} get pods -o wide", "curl -fsS http://10.0.0.{n}:8080/health | jq .status",
    'mysql -e "SELECT * FROM orders WHERE id = {n}"',
)  # fmt: skip
_SENTENCES = (
    "web-{n} の nginx は upstream から応答がなく、504 を返しています。",
    "app-{n} の接続プールが上限の {n} に達し、残りの要求は待ち行列に入りました。",
    "Redis の応答時間が {n} ミリ秒を超え、セッションの確認が遅れています。",
    "直前の設定変更 #{n} で `keepalive` が外れたことも、接続数の増加を説明します。",
    "まず待ち行列の長さとエラーの時刻を突き合わせ、次に上限を見直してください。",
)
_CLAIMS = (
    "web-{n} の upstream が応答していない", "app-{n} の接続プールが上限に達した",
    "Redis の応答が {n} ミリ秒を超えた", "設定変更 #{n} で keepalive が外れた",
)  # fmt: skip


def long_answer(number: int) -> dict[str, Any]:
    """An answer of LENGTH characters with four commands and four claims, unlike that of any other number."""
    told = "".join(_SENTENCES[i % 5].format(n=number + i) for i in range(LENGTH // 30))[:LENGTH]
    commands = [_COMMANDS[(number + i) % len(_COMMANDS)].format(n=number + i) for i in range(4)]
    return {
        "answer": "\n".join((f"## 原因と対処\n\n{told}\n\n```sh", *commands, "```")),
        "root_cause": f"app-{number} の接続プールが上限に達した",
        "claims": [claim.format(n=number) for claim in _CLAIMS],
        "commands": commands,
        "risk": "reversible",
        "self_conf": 0.9,
    }


_SCORE = {"score": 4, "evidence": "原因と対処が合っている"}


def _grades(claims: int) -> str:
    """Good grades for two peers of so many claims each."""
    entailed = [
        {"id": f"c{n}", "evidence": "自分の回答から導かれる", "stance": "entails"}
        for n in range(1, claims + 1)
    ]
    scores = dict.fromkeys(("correctness", "safety", "completeness"), _SCORE)
    grades = [{"label": label, "claims": entailed, **scores} for label in "AB"]
    return json.dumps({"grades": grades}, ensure_ascii=False)


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


_BODIES: dict[bytes, dict[str, Any]] = {
    b"/chat/completions": _CHAT,
    b"/responses": _RESPONSES,
    b"/messages": _MESSAGES,
    b":generateContent": _GEMINI,
}


@lru_cache(16)
def _packed(ending: bytes, reply: str) -> bytes:
    """The response to a call whose path has this `ending`."""
    whole = json.dumps(_BODIES[ending], ensure_ascii=False)
    content = whole.replace(json.dumps(_ANSWER, ensure_ascii=False), json.dumps(reply, ensure_ascii=False))
    length = len(content.encode())
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return (head + content).encode()


def replies(name: str) -> tuple[Iterator[str], str]:
    """The answers that calls get one after the other, `equal` or `different`; what gradings of them get."""
    if name == "equal":
        return repeat(_ANSWER), _grades(len(ANSWER["claims"]))
    answers = (json.dumps(long_answer(number), ensure_ascii=False) for number in count(10))
    return answers, _grades(len(_CLAIMS))


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

    def __init__(self, answers: Iterator[str], grades: str) -> None:
        self._answers = answers
        self._grades = grades

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
        ending = next((ending for ending in _BODIES if target.endswith(ending)), None)
        if ending is None:  # a peer's proxy looks around
            self._transport.write(_NOT_FOUND)
            return
        if not self._looked_at:
            self._looked_at = True
            if (told := _refused(target.decode(), head, body)) is not None:
                self._transport.write(told)
                return
        reply = self._grades if all(word in body for word in _GRADING) else next(self._answers)
        asyncio.get_running_loop().call_later(DELAY, self._answer, _packed(ending, reply))

    def _answer(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def serve(answers: str) -> None:
    """Serve until standard input closes."""
    loop, (told, grades) = asyncio.get_running_loop(), replies(answers)
    server = await loop.create_server(lambda: Upstream(told, grades), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1]))
