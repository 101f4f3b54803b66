"""Parses the reply of a language model, with patience.

An answer that keeps to no schema becomes plain text. Of grades, what can't be read is absent, nothing else:
one bad score, label or claim costs that one alone, and of a reply that breaks off everything before the break
counts. What is absent is neither agreement nor disagreement; docs/decisions/0014-verdict.md.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from techsapo_ops.adapters.model_reply import find_object, line_of, readable, well_formed
from techsapo_ops.wallbounce.answers import HIGHEST, MAX_CLAIMS, ClaimGrade, Grade, Peer, Risk, Score, Stance

MAX_COMMANDS = 20
_RISKS = {str(risk): risk for risk in Risk}
_CONFIDENCE = re.compile(r"\n?\s*confidence\s*[:：]\s*(0(?:\.\d+)?|1(?:\.0+)?|\.\d+)\s*\Z", re.IGNORECASE)
_TAIL = 100
"""Only the end of a text is searched for that line: over a long one, much white space would take for ever."""
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
    document = find_object(reply)
    if document is None:
        return _plain(reply)
    text = document.get("answer")
    if not isinstance(text, str) or not text.strip():
        return _plain(reply)
    return Fields(
        text=well_formed(text).strip(),
        root_cause=line_of(document.get("root_cause")),
        claims=_lines(document.get("claims"), MAX_CLAIMS),
        commands=_lines(document.get("commands"), MAX_COMMANDS),
        risk=_risk(document.get("risk")),
        self_confidence=_share(document.get("self_conf")),
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


def _lines(value: object, most: int) -> tuple[str, ...]:
    items = value if isinstance(value, list) else []
    return tuple(line for line in map(line_of, items) if line)[:most]


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


_STANCES = {str(stance): stance for stance in Stance}
_LABEL = re.compile(
    r"(?:answer|expert|peer|response|回答|解答)?[\s_:#-]*[\[({「『<\"']*([a-z])[\])}」』>\"'.:]*"
)
_CLAIM = re.compile(r"(?:claim|c|主張)?[\s_:#-]*(\d{1,2})")
_SCORE = re.compile(rf"(\d(?:\.\d+)?)(?:\s*(?:/|out of)\s*{HIGHEST}(?:\.0+)?)?\s*点?")
_LONGEST_NAME = 40
"""Characters of a label or an id that are looked at."""


def parse_grades(reply: str, peers: Sequence[Peer]) -> tuple[Grade, ...]:
    """The grades in `reply`, in the order of `peers`. Never raises.

    A peer of which nothing can be read is left out. Labels and claims that nobody has are ignored, and of two
    for the same the first counts.
    """
    by_label: dict[str, Mapping[str, Any]] = {}
    labels = {peer.label.casefold(): peer.label for peer in peers}
    listed = list(_listed(readable(reply)))
    for label, item in listed:
        known = labels.get(_folded(label)) or labels.get(_matched(_LABEL, label))
        if known is None and label is None and len(peers) == len(listed) == 1:
            known = peers[0].label  # one was asked for and one came
        if known is not None:
            by_label.setdefault(known, item)
    grades = (_grade(peer, by_label[peer.label]) for peer in peers if peer.label in by_label)
    return tuple(grade for grade in grades if any(grade.claims) or any(grade.scores))


def _listed(document: Mapping[str, Any]) -> Iterator[tuple[object, Mapping[str, Any]]]:
    """Each grade with its label: a list of them, an object of them by label, or one alone."""
    given = document.get("grades", [document] if "correctness" in document else None)
    if isinstance(given, dict):
        yield from ((label, item) for label, item in given.items() if isinstance(item, dict))
    elif isinstance(given, list):
        yield from ((item.get("label"), item) for item in given if isinstance(item, dict))


def _grade(peer: Peer, item: Mapping[str, Any]) -> Grade:
    scores = (_score(item.get(name)) for name in ("correctness", "safety", "completeness"))
    return Grade(peer.label, _claims(item.get("claims"), len(peer.claims)), *scores)


def _claims(given: object, count: int) -> tuple[ClaimGrade | None, ...]:
    """The stances by the claims' ids. A list without ids says of none which it is about."""
    by_number: dict[str, ClaimGrade] = {}
    if isinstance(given, dict):
        items = list(given.items())
    else:
        listed = given if isinstance(given, list) else []
        items = [(item.get("id"), item) for item in listed if isinstance(item, dict)]
    for name, item in items:
        claim = _stance(item)
        if claim is not None:
            by_number.setdefault(_matched(_CLAIM, name), claim)
    return tuple(by_number.get(str(number)) for number in range(1, count + 1))


def _stance(item: object) -> ClaimGrade | None:
    if not isinstance(item, dict):
        return None
    stance = _STANCES.get(_folded(item.get("stance")))
    return None if stance is None else ClaimGrade(stance, line_of(item.get("evidence")))


def _score(item: object) -> Score | None:
    """0 to 4, as a number or in words such as "3/4"; 3.5 counts as 3: of two neighbours the lower."""
    fields = item if isinstance(item, dict) else {"score": item}
    value = fields.get("score")
    if isinstance(value, str):
        read = _SCORE.fullmatch(_folded(value))
        value = float(read[1]) if read else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= HIGHEST:
        return None
    return Score(ceil(value - 0.5), line_of(fields.get("evidence")))


def _folded(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return (value if value.isascii() else unicodedata.normalize("NFKC", value)).strip().casefold()


def _matched(pattern: re.Pattern[str], value: object) -> str:
    """What `pattern` takes out of `value`, or nothing; leading zeros of a number are not kept."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _folded(value)
    match = pattern.fullmatch(text[:_LONGEST_NAME])
    return match[1].lstrip("0") if match else ""
