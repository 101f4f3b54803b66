"""Metric names in PromQL that a Prometheus takes."""

from __future__ import annotations

import re

_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_SELECTORS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_GROUPINGS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_NAMES = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*+(?!\s*\()")
_WORDS = {"and", "or", "unless", "by", "without", "bool", "offset", "group_left", "group_right"}
_NUMBERS = re.compile(r"(?<![\w:])[0-9][\w.]*")


def metric_names(expr: str) -> set[str]:
    """The names of the series that `expr` reads."""
    for pattern in (_STRINGS, _SELECTORS, _GROUPINGS, _NUMBERS):
        expr = pattern.sub(" ", expr)
    return set(_NAMES.findall(expr)) - _WORDS
