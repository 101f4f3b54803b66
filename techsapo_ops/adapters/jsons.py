"""JSON where a request waits for it: orjson, and the standard library for what orjson turns away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson


def dump(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """`value` as compact UTF-8, Japanese as it is; a lone surrogate becomes `?`.

    `default` makes a known value of an unknown one; without it such a value raises TypeError.
    """
    try:
        return orjson.dumps(value, default)
    except TypeError:  # a lone surrogate, a number beyond 64 bits, or what json refuses too
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)
        return text.encode(errors="replace")


def load(raw: bytes | str) -> Any:
    """The value of `raw`. Raises ValueError or RecursionError, as the standard library does.

    It takes what the standard library takes: lone surrogates and NaN too.
    """
    try:
        return orjson.loads(raw)
    except ValueError:
        return json.loads(raw)
