"""Which language whoever sends a request reads, by its Accept-Language (RFC 9110, 12.5.4); else English."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.types import Scope

from techsapo_ops.catalogue.translations import LANGUAGES, Language

_HEADER = b"accept-language"
_MOST = 32
"""Entries that are looked at: nobody reads so many languages."""


def reader_language(scope: Scope) -> Language:
    """The language of ours that the request wants most; English where it names none, or none of ours."""
    told = b",".join(value for name, value in scope.get("headers", ()) if name == _HEADER).decode("latin-1")
    wanted = dict(reversed(list(_wanted(told))))
    best = max(wanted, key=wanted.__getitem__, default=LANGUAGES[0])
    return best if wanted.get(best) else LANGUAGES[0]


def _wanted(told: str) -> Iterator[tuple[Language, float]]:
    """Ours among the languages in the header's value, with their weights."""
    for entry in told.split(",", _MOST)[:_MOST]:
        tag, _, parameter = entry.strip().lower().partition(";")
        primary = tag.strip().partition("-")[0]
        for language in LANGUAGES:
            if primary == language:
                yield language, _weight(parameter)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
