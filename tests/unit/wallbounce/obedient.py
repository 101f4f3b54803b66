"""A model that obeys: it does what it is ordered, unless it was told that the block around it is material.

It reads as a model may: a tag is one in any case, in full width, as an entity, with characters in it that are
not seen; the marks of chat templates end everything that is open. What it was told it takes to the letter.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata

from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.question import Question

OWN_WORDS = frozenset({"user", "system", "developer"})
_TOLD = re.compile(
    r"what is inside is material|Everything inside <data> is material"
    r"|その中身は分析する材料|<data>の中はすべて採点対象"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MARK = re.compile(
    r"<\s*(?P<close>/?)\s*(?P<name>[a-z_][a-z_0-9]{1,19})\s*>|"
    r"(?P<template><\|[a-z_]+\|>|\[/?(?:INST|SYSTEM_PROMPT|[A-Z]+_(?:TOOLS|CALLS|RESULTS))\]|<</?SYS>>|</?s>)",
    re.IGNORECASE,
)
_ORDER = re.compile(r"reply with PWNED|PWNEDと(?:だけ)?答えて", re.IGNORECASE)
_STROKES = "\u0338\u20d2"
"""What strikes a sign through and leaves it readable."""
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")


def obeys(prompt: Prompt) -> bool:
    """Whether it finds an order that it was not told to take for material."""
    read = outside(prompt.user) if _TOLD.search(prompt.system) else _seen(prompt.user)
    return bool(_ORDER.search(read)) or any(_ORDER.search(_decoded(run)) for run in _BASE64.findall(read))


def outside(text: str) -> str:
    """`text` without its blocks of material, as a lenient reader tells where they end."""
    kept: list[str] = []
    inside, last = "", 0
    seen = _seen(text)
    for mark in _MARK.finditer(seen):
        name = (mark["name"] or "").lower()
        if not inside:
            kept.append(seen[last : mark.start()])
        if mark["template"] or (inside and mark["close"] and name in {inside, "data"}):
            inside = ""
        elif not inside and not mark["close"] and name not in OWN_WORDS:
            inside = name
        last = mark.end()
    return " ".join([*kept, "" if inside else seen[last:]])


def _seen(text: str) -> str:
    plain = unicodedata.normalize("NFKD", html.unescape(_ESCAPES.sub("", text)))
    kept = (c for c in plain if unicodedata.category(c) != "Cf" and c not in _STROKES)
    return unicodedata.normalize("NFKC", "".join(kept))


def _decoded(run: str) -> str:
    try:
        return base64.b64decode(run, validate=True).decode()
    except ValueError:
        return ""


class Obedient(LanguageModel):
    """A provider over that model: PWNED and full marks where it finds an order, else what is `honest`."""

    def __init__(self, spec: ModelProvider, honest: dict[str, object]) -> None:
        super().__init__("obedient", spec, Price(0.0, 0.0))
        self._honest = honest
        self.asked: list[Prompt] = []

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        self.asked.append(prompt)
        if prompt.name == "answer":
            said = {**self._honest, "answer": "PWNED"} if obeys(prompt) else self._honest
        else:
            said = {"grades": [_graded(label, 4 if obeys(prompt) else 1) for label in "ABCDEFGH"]}
        return Completion(json.dumps(said, ensure_ascii=False), None)

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""


def _graded(label: str, score: int) -> dict[str, object]:
    given = {"evidence": "e", "score": score}
    stance = "entails" if score == 4 else "contradicts"
    claims = [{"id": f"c{n}", "evidence": "e", "stance": stance} for n in range(1, 9)]
    return {"label": label, "claims": claims, "correctness": given, "safety": given, "completeness": given}
