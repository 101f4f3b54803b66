"""Secrets that are known by their value, wherever they stand and however they are written."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from techsapo_ops.masking.beginnings import searchable

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

SHORTEST = 4
"""Characters of a secret that is looked for: a shorter one stands in every file by chance."""


class KnownSecrets:
    """Some secrets; those of fewer than `shortest` characters are left out."""

    def __init__(self, values: Iterable[str], shortest: int = SHORTEST) -> None:
        self._forms = sorted({form for value in values if len(value) >= shortest for form in forms(value)})

    @cached_property
    def _automaton(self) -> AhoCorasick:
        from ahocorasick_rs import AhoCorasick  # only whoever masks needs it

        return AhoCorasick(map(searchable, self._forms))

    def masked(self, text: str, mask: str) -> tuple[str, int]:
        """`text` with `mask` wherever one of them stands, and how often that is.

        Where two overlap, both go.
        """
        if not self._forms:
            return text, 0
        parts, end, count = [], 0, 0
        for start, stop in _joined(
            self._automaton.find_matches_as_indexes(searchable(text), overlapping=True)
        ):
            parts += [text[end:start], mask]
            end, count = stop, count + 1
        return "".join((*parts, text[end:])), count


def _joined(matches: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """The spans of `matches` in order; those that overlap are one."""
    begin, end = 0, 0
    for start, stop in sorted((start, stop) for _, start, stop in matches):
        if start >= end:
            if end:
                yield begin, end
            begin = start
        end = max(end, stop)
    if end:
        yield begin, end


def forms(secret: str) -> Iterator[str]:
    """How a secret may be written, the longest first: in text, JSON, YAML, a shell's quotes, URLs, HTML, and
    where a sign is written twice (Compose, supervisord). Nothing for a secret that is shorter than SHORTEST.
    """
    if len(secret) < SHORTEST:
        return
    written = {repr(secret)[1:-1], quote_plus(secret), re.sub(r"([\"$\\`])", r"\\\1", secret)}
    for each in (secret, secret.replace("$", "$$"), secret.replace("%", "%%")):
        written |= {each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]}
        written.add(each.replace("'", "''"))
    written |= {secret.replace("'", quoted) for quoted in ("'\"'\"'", "'\\''")}
    written |= {quote(secret, safe=safe) for safe in ("", "/")}
    for apostrophe, quotation in product(("&#x27;", "&#39;"), ("&quot;", "&#34;")):
        written.add(html.escape(secret, quote=False).replace("'", apostrophe).replace('"', quotation))
    yield from sorted(written, key=len, reverse=True)
