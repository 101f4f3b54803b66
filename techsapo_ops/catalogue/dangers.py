"""Signs of danger: dangerous commands in a text, and odd requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal

from techsapo_ops.catalogue.yaml_text import packaged_yaml


class Effect(StrEnum):
    """What a dangerous command does, the worst first."""

    DESTRUCTIVE = "destructive"
    RUNS_REMOTE_CODE = "runs_remote_code"
    WEAKENS_SECURITY = "weakens_security"
    STOPS_A_SERVICE = "stops_a_service"


@dataclass(frozen=True, slots=True)
class Danger:
    """A kind of dangerous command."""

    kind: str
    effects: tuple[Effect, ...]
    why: Mapping[Literal["en", "ja"], str]


@dataclass(frozen=True, slots=True)
class Sign:
    """One way to recognise a danger by a word of a text.

    `starts_command`: the word stands where a command begins, and `pattern` is found in the arguments.
    Otherwise the word stands anywhere, and `pattern` matches the text right behind it.
    """

    danger: Danger
    pattern: re.Pattern[str]
    starts_command: bool


@cache
def signs() -> Mapping[str, tuple[Sign, ...]]:
    """By word, in lower case: the signs of danger that begin with it, in the order of the table."""
    by_word: dict[str, list[Sign]] = {}
    for row in packaged_yaml("commands/dangers.yaml"):
        danger = _danger(row)
        for words, pattern in row.get("anywhere", {}).items():
            sign = Sign(danger, re.compile(pattern, re.IGNORECASE), starts_command=False)
            for word in words.split():
                by_word.setdefault(word, []).append(sign)
        for words, pattern in row.get("commands", {}).items():
            sign = Sign(danger, re.compile(pattern), starts_command=True)
            for word in words.split():
                by_word.setdefault(word, []).append(sign)
    return {word: tuple(each) for word, each in by_word.items()}


@cache
def plain_words() -> re.Pattern[str]:
    """A request in plain words for what can't be undone; the file's head explains how it is made up."""
    table = packaged_yaml("commands/plain_words.yaml")
    gap = r"[^\w.!?\n]{1,3}"
    forms = []
    for row in table["en"]:
        does, done, to = row["does"], row["done"], row["to"]
        forms += [
            rf"\b(?:{does})\b(?:{gap}{row.get('between', '')}[\w'-]{{1,30}}){{0,5}}?{gap}(?:{to})\b",
            rf"\b(?:{to})(?: \w{{1,20}}){{0,3}}? (?:be|being|get|getting)(?: \w{{1,20}})? (?:{done})\b",
        ]
    forms += [rf"(?:{row['to']})[^。!?\n]{{0,20}}?(?:{row['does']})" for row in table["ja"]]
    return _any(forms)


def _danger(row: Mapping[str, Any]) -> Danger:
    effects = tuple(Effect(e) for e in row.get("effects", ["destructive"]))
    return Danger(row["kind"], effects, {"ja": row["ja"], "en": row["en"]})


Reason = Literal[
    "sensitive_path",
    "sensitive_data",
    "scan",
    "burst",
    "oversized_body",
    "revoked_key",
    "expired_key",
    "key_scope",
    "key_networks",
]
"""The values of techsapo_anomaly_requests_total's label, as metrics.yaml explains them."""


@dataclass(frozen=True, slots=True)
class RequestSigns:
    """One expression for `paths`, and those for `prompts`; the file's head explains them."""

    paths: re.Pattern[str]
    prompts: tuple[re.Pattern[str], ...]


@cache
def request_signs() -> RequestSigns:
    """The signs of anomalies.yaml."""
    entries = packaged_yaml("anomalies.yaml")
    return RequestSigns(_any(entries["paths"]), tuple(_any([each]) for each in entries["prompts"]))


def _any(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE | re.DOTALL)
