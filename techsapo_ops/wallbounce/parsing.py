"""Parses the reply of a language model, with patience: what keeps to no schema becomes plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from techsapo_ops.adapters.jsons import load
from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Risk
from techsapo_ops.wallbounce.grades import ClaimGrade, Grade, Peer, Score, Stance

MAX_LINE = 1_000
"""Longest claim, command or piece of evidence in characters; the rest is cut off."""
MAX_COMMANDS = 20
TOP_SCORE = 4
_STANCES = {str(stance): stance for stance in Stance}
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
    found = _find_object(reply)
    if found is None:
        return _plain(reply)
    text = found.get("answer")
    if not isinstance(text, str) or not text.strip():
        return _plain(reply)
    return Fields(
        text=well_formed(text).strip(),
        root_cause=_line(found.get("root_cause")),
        claims=_lines(found.get("claims"), MAX_CLAIMS),
        commands=_lines(found.get("commands"), MAX_COMMANDS),
        risk=_risk(found.get("risk")),
        self_confidence=_share(found.get("self_conf")),
        structured=True,
    )


def parse_grades(reply: str, peers: Sequence[Peer]) -> tuple[Grade, ...]:
    """The grades in `reply`, in the order of `peers`; what can't be read is left out. Never raises.

    A claim without a readable stance counts as silent. Labels that nobody has are ignored, and of two grades
    for one label the first counts.
    """
    found = _find_object(reply)
    listed = found.get("grades") if found is not None else None
    if not isinstance(listed, list):
        return ()
    by_label: dict[str, Mapping[str, Any]] = {}
    for item in listed:
        if isinstance(item, dict) and isinstance(item.get("label"), str):
            by_label.setdefault(item["label"].strip(), item)
    grades = (_grade(peer, by_label[peer.label]) for peer in peers if peer.label in by_label)
    return tuple(grade for grade in grades if grade is not None)


def split_confidence(text: str) -> tuple[str, float | None]:
    """The text without its last `confidence: 0.8` line, and that number (0 to 1) or None."""
    text = text.strip()
    tail = text[-_TAIL:]
    match = _CONFIDENCE.search(tail)
    if match is None:
        return text, None
    return text[: len(text) - len(tail) + match.start()].strip(), float(match[1])


def _grade(peer: Peer, item: Mapping[str, Any]) -> Grade | None:
    scores = [_score(item.get(name)) for name in ("correctness", "safety", "completeness")]
    correctness, safety, completeness = scores
    if correctness is None or safety is None or completeness is None:
        return None
    listed = item.get("claims")
    given = listed if isinstance(listed, list) else []
    claims = tuple(_stance(given[i] if i < len(given) else None) for i in range(len(peer.claims)))
    return Grade(peer.label, claims, correctness, safety, completeness)


def _stance(item: object) -> ClaimGrade:
    if isinstance(item, dict) and isinstance(word := item.get("stance"), str) and word in _STANCES:
        return ClaimGrade(_STANCES[word], _line(item.get("evidence")))
    return ClaimGrade(Stance.SILENT)


def _score(item: object) -> Score | None:
    if not isinstance(item, dict):
        return None
    value = item.get("score")
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(TOP_SCORE + 1):
        return None
    return Score(int(value), _line(item.get("evidence")))


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


def _find_object(reply: str) -> Mapping[str, Any] | None:
    """The first JSON object of `reply`, bare, in a code fence or amid prose."""
    if reply.lstrip()[:1] == "{":
        try:
            value = load(reply)
        except (ValueError, RecursionError):
            pass  # prose after it, raw line breaks, or broken off
        else:
            return value if isinstance(value, dict) else None
    starts = [match.end() for match in _FENCE.finditer(reply)][:4]
    brace = reply.find("{")
    for start in (0, *starts, brace):
        body = reply[start:].lstrip()
        if not body.startswith("{"):
            continue
        try:
            value, _ = _DECODER.raw_decode(body)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


_DECODER = json.JSONDecoder(strict=False)
"""strict=False: models put raw line breaks into strings."""


def _lines(value: object, most: int) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(line for line in map(_line, items) if line)[:most]


def _line(value: object) -> str:
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
