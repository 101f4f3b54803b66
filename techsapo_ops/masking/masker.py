"""Takes secrets, or personal data too, out of text. Pure. It reduces what leaks and does not prevent it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.rules import finds
from techsapo_ops.masking.values import long_random, strong

MOST_REPEATED = 64
"""Secrets of one question that are looked for wherever else they occur in it."""
MOST_ROUNDS = 8
"""How often a text is looked at again after something was taken out of it."""
_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z_]{2,15})_(\d{1,6})\]")
_SECRET = re.compile(r"^[ \t]{0,40}(?:- )?\"?kind\"?:[ \t]{0,8}[\"']?Secret[\"']?[ \t,]{0,8}$", re.MULTILINE)
_DOCUMENT = re.compile(r"^---[ \t]{0,8}$", re.MULTILINE)
_SECTION = re.compile(r"^([ \t]{0,40})\"?(?:data|stringData)\"?:[ \t{]{0,8}$")
_ENTRY = re.compile(r"^([ \t]{1,60})[\"']?[\w.-]{1,253}[\"']?:[ \t]{0,8}[\"']?([^\s\"']{1,65536})")
_Find = tuple[int, int, str]


class Masker:
    """Masks the texts of one question: in all of them the same secret is the same `[KIND_NUMBER]`.

    What was taken out is kept in memory as long as this lives, and put back nowhere.
    """

    def __init__(self, level: MaskLevel) -> None:
        self._level = level
        self._names: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self._done: dict[str, str] = {}

    @property
    def works(self) -> bool:
        """Whether it masks anything at all."""
        return self._level != "off"

    @property
    def counts(self) -> Mapping[str, int]:
        """How many different ones were masked so far, by kind in lower case."""
        return dict(Counter(name[1:].rpartition("_")[0].lower() for name in self._names.values()))

    def mask(self, text: str) -> str:
        """`text` without what the level takes out; what it makes of its own result is the same again."""
        if text not in self._done:  # an answer is shown to several others
            masked = text
            for _ in range(MOST_ROUNDS):
                before, masked = masked, self._once(masked)
                if masked == before:
                    break  # else what stood before a find may have hidden another one
            self._done[text] = masked
        return self._done[text]

    def _once(self, text: str) -> str:
        if not self.works:
            return text
        taken = []
        for match in _PLACEHOLDER.finditer(text):
            taken.append(match.span())
            self._numbers[match[1]] = max(self._numbers[match[1]], int(match[2]))
        chosen = _apart(_finds(text, self._level), taken)
        for start, end, kind in chosen:
            self._name(text[start:end], kind)
        chosen = _apart([*chosen, *self._repeated(text)], taken)
        parts, last = [], 0
        for start, end, kind in chosen:
            parts += [text[last:start], self._name(text[start:end], kind)]
            last = end
        return "".join((*parts, text[last:]))

    def _name(self, value: str, kind: str) -> str:
        if value not in self._names:
            self._numbers[kind] += 1
            self._names[value] = f"[{kind}_{self._numbers[kind]}]"
        return self._names[value]

    def _repeated(self, text: str) -> Iterator[_Find]:
        """Where secrets that are known already stand once more, without a word that tells of them."""
        known = [v for v in self._names if len(v) >= 6 and "\n" not in v and (strong(v) or long_random(v))]
        if known:
            words = "|".join(re.escape(v) for v in sorted(known[:MOST_REPEATED], key=len, reverse=True))
            for match in re.finditer(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", text):
                yield *match.span(), self._names[match[0]][1:].rpartition("_")[0]


def mask(text: str, level: MaskLevel = "personal") -> str:
    """`text` by itself, without what `level` takes out."""
    return Masker(level).mask(text)


def _finds(text: str, level: MaskLevel) -> Iterator[_Find]:
    yield from finds(text, level)
    for start, end in manifest_spans(text):
        yield start, end, "SECRET"


def manifest_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where in `text` values stand below `data` and `stringData` of Kubernetes' `kind: Secret`."""
    if "Secret" not in text or not _SECRET.search(text):
        return
    start = 0
    for mark in (*_DOCUMENT.finditer(text), None):
        end = len(text) if mark is None else mark.start()
        if _SECRET.search(text, start, end):
            yield from _manifest_values(text, start, end)
        start = end if mark is None else mark.end()


def _manifest_values(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    indent: int | None = None
    for line in text[start:end].splitlines(keepends=True):
        section = _SECTION.match(line.rstrip("\n"))
        entry = _ENTRY.match(line)
        if section:
            indent = len(section[1])
        elif indent is not None and entry and len(entry[1]) > indent:
            if entry[2] not in "|>{":
                yield start + entry.start(2), start + entry.end(2)
        elif line.strip() and len(line) - len(line.lstrip()) <= (indent or 0):
            indent = None
        start += len(line)


def _apart(finds: Iterator[_Find] | list[_Find], taken: list[tuple[int, int]]) -> list[_Find]:
    """`finds` in the text's order, none within another or over a placeholder: the first and longest."""
    apart: list[_Find] = []
    last = 0
    places = iter([*taken, (1 << 62, 1 << 62)])
    place = next(places)
    for start, end, kind in sorted(finds, key=lambda find: (find[0], -find[1])):
        while place[1] <= start:
            place = next(places)
        if start < last or end > place[0]:
            continue
        apart.append((start, end, kind))
        last = end
    return apart
