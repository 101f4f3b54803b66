"""How each vendor says no: its bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """The vendor refuses a call with this status and body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


def openai_refusal(status: int, message: str, param: str | None, code: str | None) -> Refused:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refused(status, {"error": error})


def openrouter_refusal(status: int, message: str, **metadata: Any) -> Refused:
    error = {"code": status, "message": message, **({"metadata": metadata} if metadata else {})}
    return Refused(status, {"error": error})


def claude_refusal(status: int, kind: str, message: str) -> Refused:
    error = {"type": kind, "message": message}
    return Refused(status, {"type": "error", "error": error, "request_id": "req_1"})


def gemini_refusal(status: int, word: str, message: str, *details: Mapping[str, Any]) -> Refused:
    told = {"code": status, "message": message, "status": word}
    return Refused(status, {"error": {**told, "details": list(details)} if details else told})
