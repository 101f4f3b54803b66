"""What a language model writes where JSON was asked for, read with patience. Pure, and never raises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from techsapo_ops.adapters.jsons import load

MAX_LINE = 500
"""Longest line in characters that is taken out of a reply; the rest is cut off."""
_DEEPEST = 32
"""Brackets within each other, beyond which a reply that breaks off is not looked at."""
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n")


def find_object(reply: str) -> Mapping[str, Any] | None:
    """The first JSON object of `reply`, bare, in a code fence or amid prose."""
    if reply.lstrip()[:1] == "{":
        try:
            value = load(reply)
        except (ValueError, RecursionError):
            pass  # prose after it, raw line breaks, or broken off
        else:
            return value if isinstance(value, dict) else None
    for body in _bodies(reply):
        try:
            value, _ = _DECODER.raw_decode(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _bodies(reply: str) -> Iterator[str]:
    """`reply` from each place on where a JSON object may begin: its start, code fences, the first brace."""
    starts = [match.end() for match in _FENCE.finditer(reply)][:4]
    for start in (0, *starts, reply.find("{")):
        body = reply[start:].lstrip()
        if body.startswith("{"):
            yield body


_DECODER = json.JSONDecoder(strict=False)
"""strict=False: models put raw line breaks into strings."""


def readable(reply: str) -> Mapping[str, Any]:
    """The same of a reply that may break off: what of it is whole. Empty where there is none."""
    whole = find_object(reply)
    if whole is not None:
        return whole
    for body in _bodies(reply):
        closed = _closed(body)
        try:
            value = _DECODER.decode(closed)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}


def _closed(body: str) -> str:
    """A JSON object that breaks off, as far as its values are whole: what is open is closed there."""
    closers: list[str] = []
    cut, ends = 0, ""
    quoted = escaped = False
    for place, char in enumerate(body):
        if quoted:
            quoted = escaped or char != '"'
            escaped = not escaped and char == "\\"
            continue
        if char == '"':
            quoted = True
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
            cut, ends = place + 1, "".join(reversed(closers))
        elif char in "}]":
            if not closers or closers.pop() != char:
                break
            cut, ends = place + 1, "".join(reversed(closers))
        elif char == "," and closers:
            cut, ends = place, "".join(reversed(closers))
        if len(closers) > _DEEPEST:
            return ""
    return body[:cut] + ends


def line_of(value: object) -> str:
    """`value` as a text of at most MAX_LINE characters; nothing where it is none."""
    return well_formed(value[:MAX_LINE]).strip() if isinstance(value, str) else ""


def well_formed(text: str) -> str:
    """`text` without lone surrogates, which JSON can hold and UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
