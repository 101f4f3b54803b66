"""What the stand-ins answer: the answer, grades for peers, errors; and the names of what they play."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ANSWER: dict[str, Any] = {
    "answer": "ディスクが一杯です。「df -h」で確認し、古いログを消してください。",
    "root_cause": "ディスクの空き容量が尽きた",
    "claims": ["空き容量が尽きた", "古いログが残っている"],
    "commands": ["df -h", "journalctl --vacuum-size=500M"],
    "risk": "reversible",
    "self_conf": 0.9,
}
WHOLE = json.dumps(ANSWER, ensure_ascii=False)
INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS = 120, 60, 20
THOUGHT = 25
"""Part of OUTPUT_TOKENS that went into thinking."""
WRITTEN = 10
"""Part of INPUT_TOKENS that Claude wrote into its cache."""
COST_USD = (INPUT_TOKENS * 2 + OUTPUT_TOKENS * 8) / 1e6
"""What OpenRouter charges for it, by the prices of asking.py."""
THOUGHTS = 'まず {"answer": "考え中"} と考えた。'
"""What a model thought: it looks like an answer, and is none."""
HUGE = 10_000_000
MARKED = json.dumps(
    {
        **ANSWER,
        "answer": '# 見出し\n**太字**です。\n\n```sh\ndf -h\n```\n\n- <img src=x onerror="window.hit=1"> '
        "![x](https://elsewhere.example/pixel.png) [ここ](javascript:window.hit=1) "
        "[bank.example](https://evil.example/) <script>window.hit=1</script>\n\n"
        f"{'長' * 400} {'x' * 4000}\n\n|列|列|\n|-|-|\n|{'y' * 900}|<b onclick=x>2</b>|\n",
    },
    ensure_ascii=False,
)
"""An answer in Markdown, with what must not act in it."""


def graded(user: str, *, agrees: bool = False) -> str:
    """Grades for the peers in a grading prompt: of each one's claims the first is entailed, and others are
    contradicted unless the grader `agrees`.
    """
    data = json.loads(user.removeprefix("<data>\n").removesuffix("\n</data>"))
    score = {"score": 3, "evidence": "妥当"}
    grades = [
        {
            "label": peer["label"],
            "claims": [
                {
                    "id": claim["id"],
                    "evidence": "根拠",
                    "stance": "contradicts" if n and not agrees else "entails",
                }
                for n, claim in enumerate(peer["claims"])
            ],
            "correctness": score,
            "safety": {"score": 4, "evidence": "安全"},
            "completeness": {"score": 2, "evidence": "不足"},
        }
        for peer in data["answers"]
    ]
    return json.dumps({"grades": grades}, ensure_ascii=False)


ERRORS: Mapping[str, tuple[int, str, str]] = {
    "broken": (500, "The server had an error", "server_error"),
    "unauthorized": (401, "Incorrect API key provided: {key}", "invalid_api_key"),
    "overloaded": (503, "Overloaded", "overloaded_error"),
    "no-money": (402, "Your prepayment credits are depleted.", "insufficient_quota"),
    "forbidden": (403, "Your key may not use this model", "permission_error"),
    "unknown": (404, "The model does not exist", "not_found_error"),
    "busy": (429, "Rate limit reached", "rate_limit_error"),
    "busy-date": (429, "Rate limit reached", "rate_limit_error"),
    "gateway": (504, "The upstream took too long", "timeout_error"),
}
DOCUMENTED: Mapping[str, str] = {
    "unauthorized": "invalid key",
    "forbidden": "key without the right",
    "unknown": "unknown model",
    "no-money": "quota exhausted",
    "overloaded": "overloaded",
}
"""Plays whose reply stands in tests/cases/provider_errors.yaml, by vendor; ERRORS has it for the others."""
TEXTS: Mapping[str, str] = {
    "plain": "再起動してください。\nconfidence: 0.85",
    "json-cut": WHOLE[: WHOLE.index("古いログを消して")],
    "empty": "",
}


PLAYS = {
    *ERRORS, *TEXTS, "good", "markdown", "m", "proxy-page", "all-thought", "no-schema",
    "slow", "huge", "huge-chunked", "bomb", "trickle", "hangs-up", "half", "other-shape", "list", "html",
    "cut-off", "cut-off-in-claims", "filtered", "uncounted", "never-streams", "error-midway", "busy-midway",
    "cut-midway", "ends-midway", "endless", "held", "held-grades", "thinks",
}  # fmt: skip
"""Models that only the lab knows, each named after what it does."""
