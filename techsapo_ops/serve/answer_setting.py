"""What an answer depends on beside the question, as one digest.

Of the sections that reach an analysis everything counts, unless it is listed here with the reason why it does
not: a field that somebody adds belongs to the digest by itself, and at worst an answer is made once more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from techsapo_ops.serve.options import Options
from techsapo_ops.spec.secret import Secret
from techsapo_ops.wallbounce.prompts import PROMPT_VERSION

FORM = 1
"""Of the digest itself."""

IMMATERIAL: Mapping[str, Mapping[str, str]] = {
    "providers": {
        "enabled": "who is asked is in the digest by name",
        "api_key": "it says who pays, not what is answered",
        "attempts": "an answer that came at the third attempt is none the worse",
        "stream": "it is the same answer in pieces",
    },
    "wallbounce": {
        "cache_ttl": "how long an answer is kept, not which",
        "cache_share": "whose answer is reused is in the key of each question",
        "breaker": "whom it leaves alone is in the digest by who is asked",
        "language": "the language that it comes to is in the key of each question",
        "mask": "the level that it comes to is in the digest",
        "calibration": "the weights themselves are in the digest, not the name of their file",
    },
    "budget": {
        "monthly_usd": "what a budget cuts short is not kept",
        "daily_usd": "as monthly_usd",
        "warn_at": "it warns",
    },
    "limits": {
        "max_body": "it refuses",
        "max_prompt": "it refuses",
        "concurrency": "it refuses",
        "client_connections": "it refuses",
    },
}
"""Fields by section that change no answer, and why."""


def answer_setting(options: Options, build: str) -> Callable[[Sequence[str]], str]:
    """Gives the digest by the names of the providers that are asked now, in their order.

    `build` is what this process runs: prompts, parsing and the verdict are code.
    """
    spec = options.spec
    same = {
        "form": FORM,
        "build": build,
        "prompts": PROMPT_VERSION,
        "mask": options.mask,
        "calibration": options.calibration.key if options.calibration is not None else "",
        "wallbounce": _material("wallbounce", spec.wallbounce),
        "budget": _material("budget", spec.budget),
        "limits": _material("limits", spec.app.limits),
    }

    @lru_cache(maxsize=64)
    def of(names: tuple[str, ...]) -> str:
        panel = [[name, _material("providers", spec.providers[name])] for name in names]
        whole = json.dumps({**same, "providers": panel}, sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    return lambda names: of(tuple(names))


def _material(section: str, model: BaseModel) -> dict[str, Any]:
    """The fields of `model` that may change an answer."""
    return {name: _plain(value) for name, value in model if name not in IMMATERIAL[section]}


def _plain(value: Any) -> Any:
    """`value` as JSON has it. Of a secret, which a header may hold, a digest."""
    if isinstance(value, Secret):
        return hashlib.sha256(value.reveal().encode()).hexdigest()
    if isinstance(value, BaseModel):
        return {name: _plain(each) for name, each in value}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
