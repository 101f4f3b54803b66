"""Parses the reply of a language model, with patience: what keeps to no schema becomes plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from techsapo_ops.adapters.jsons import load
from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Risk

MAX_LINE = 500
"""Longest root cause, claim, command or piece of evidence in characters; the rest is cut off."""
MAX_COMMANDS = 20
_RISKS = {str(risk): risk for risk in Risk}
_CONFIDENCE = re.compile(r"\n?\s*confidence\s*[:：]\s*(0(?:\.\d+)?|1(?:\.0+)?|\.\d+)\s*\Z", re.IGNORECASE)
_TAIL = 100
"""Only the end of a text is searched for that line: over a long one, much white space would take for ever."""
_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n")
_ANSWER_FIELD = re.compile(r'\{\s*"answer"\s*:\s*"((?:[^"\\]|\\.)*)("?)', re.DOTALL)
_BROKEN_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{0,3})?\Z")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an answer. `whole` is False where the reply ended within its answer text."""

    text: str
    root_cause: str = ""
    claims: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    risk: Risk | None = None
    self_confidence: float | None = None
    structured: bool = False
    whole: bool = True


def parse_answer(reply: str) -> Fields:
    """The answer in `reply`: by the schema, also inside fences or prose; else as plain text. Never raises."""
    found = find_object(reply)
    if found is None:
        return _plain(reply)
    text = found.get("answer")
    if not isinstance(text, str) or not text.strip():
        return _plain(reply)
    return Fields(
        text=well_formed(text).strip(),
        root_cause=line_of(found.get("root_cause")),
        claims=_lines(found.get("claims"), MAX_CLAIMS),
        commands=_lines(found.get("commands"), MAX_COMMANDS),
        risk=_risk(found.get("risk")),
        self_confidence=_share(found.get("self_conf")),
        structured=True,
    )


def split_confidence(text: str) -> tuple[str, float | None]:
    """The text without its last `confidence: 0.8` line, and that number (0 to 1) or None."""
    text = text.strip()
    tail = text[-_TAIL:]
    match = _CONFIDENCE.search(tail)
    if match is None:
        return text, None
    return text[: len(text) - len(tail) + match.start()].strip(), float(match[1])


def _plain(reply: str) -> Fields:
    """`reply` as plain text; of JSON that breaks off, the answer as far as it goes."""
    cut = _ANSWER_FIELD.search(reply)
    if cut is None:
        text, sure = split_confidence(well_formed(reply))
        return Fields(text, self_confidence=sure)
    escaped = _BROKEN_ESCAPE.sub("", cut[1])
    try:
        text = json.loads(f'"{escaped}"', strict=False)
    except ValueError:
        text = escaped
    return Fields(well_formed(text).strip(), whole=bool(cut[2]))


def find_object(reply: str) -> Mapping[str, Any] | None:
    """The first JSON object of `reply`, bare, in a code fence or amid prose."""
    if reply.lstrip()[:1] == "{":
        try:
            value = load(reply)
        except (ValueError, RecursionError):
            pass  # prose after it, raw line breaks, or broken off
        else:
            return value if isinstance(value, dict) else None
    for body in bodies(reply):
        try:
            value, _ = DECODER.raw_decode(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def bodies(reply: str) -> Iterator[str]:
    """`reply` from each place on where a JSON object may begin: its start, code fences, the first brace."""
    starts = [match.end() for match in _FENCE.finditer(reply)][:4]
    for start in (0, *starts, reply.find("{")):
        body = reply[start:].lstrip()
        if body.startswith("{"):
            yield body


DECODER = json.JSONDecoder(strict=False)
"""strict=False: models put raw line breaks into strings."""


def _lines(value: object, most: int) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(line for line in map(line_of, items) if line)[:most]


def line_of(value: object) -> str:
    """`value` as a text of at most MAX_LINE characters; nothing where it is none."""
    return well_formed(value[:MAX_LINE]).strip() if isinstance(value, str) else ""


def _risk(value: object) -> Risk | None:
    return _RISKS.get(value) if isinstance(value, str) else None


def _share(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        share = float(value)
    except OverflowError:
        return None
    return share if isfinite(share) and 0 <= share <= 1 else None


def well_formed(text: str) -> str:
    """`text` without lone surrogates, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
