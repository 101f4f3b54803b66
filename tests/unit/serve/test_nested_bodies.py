from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instances import send
from orchestrator import make_app
from rows import each_row

from techsapo_ops.serve.body_route import MOST_DEPTH, deeper_than

CHAT = '{"model": "techsapo-basic", "messages": [{"role": "user", "content": "502?"}], "metadata": {"m": %s}}'


JSON, KEY = {"Content-Type": "application/json"}, "Idempotency-Key"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_a_chat_body_that_is_nested_too_deeply_is_refused_and_one_at_the_bound_is_answered(
    tmp_path: Path,
) -> None:
    depths = (MOST_DEPTH, 200, 1000, 1020, 5000, 400_000, MOST_DEPTH - 2)

    asked = [
        ("POST", "/v1/chat/completions", {"content": CHAT % nested(depth), "headers": {**JSON, KEY: f"{n}"}})
        for n, depth in enumerate(depths)
    ]
    *refused, answered = send(make_app(tmp_path), *asked)
    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in refused]
    assert codes[:4] == [(400, "invalid_request")] * 4
    assert codes[4][0] == 400, "Python 3.13 reads 5,000 levels, 3.11 does not"
    assert codes[5] == (400, "malformed_json")
    assert f"deeper than {MOST_DEPTH} levels" in refused[0].json()["error"]["message"]
    assert answered.status_code == 200


@each_row("form", ['{"a": %s}', "[1, %s]"])
def test_levels_are_counted_in_objects_and_in_arrays(form: str) -> None:
    text, levels = "1", 0
    while levels < 5:
        text, levels = form % text, levels + 1
    value: Any = json.loads(text)
    assert not deeper_than(5, value, text.encode())
    assert deeper_than(4, value, text.encode())
