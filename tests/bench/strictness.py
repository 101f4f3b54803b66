"""What the vendors would refuse of a call in the bench, by the rules of the lab's stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from vendors.refusals import Refused
from vendors.rules import anthropic, google, local, openai


def refusal(target: str, headers: dict[str, str], content: bytes) -> tuple[int, bytes] | None:
    """Status and body with which the vendor refuses a call, or None where it takes it."""
    body = json.loads(content)
    try:
        if target.endswith("/chat/completions"):
            local.any_of_them(body)
        elif target.endswith("/responses"):
            openai.responses(body)
        elif target.endswith("/messages"):
            anthropic.headers(headers.get("anthropic-version"), headers.get("content-type", ""))
            anthropic.messages(body)
        else:
            google.generate(target, headers.get("x-goog-api-key", ""), body)
    except Refused as refused:
        return refused.status, json.dumps(refused.body).encode()
    return None
