"""Takes secrets, or personal data too, out of text. Pure. It reduces what leaks and does not prevent it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.masking import MaskLevel, values
from techsapo_ops.masking.search import Places, beginnings
from techsapo_ops.masking.values import long_random, strong

Check = Callable[[str], bool]
Span = tuple[int, int]
LOOK_BACK = 400
"""Characters of a line before a find that `before` is shown."""
_SECRETS = ("forms", "headers", "urls", "names", "commands", "sql", "lines")
_FRAGMENT = re.compile(r"<<([A-Z_]+)>>")
_TAIL = re.compile(r"[\s),\]};|&`>。、」.:?!\\]{1,16}$")
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


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds what `pattern` puts into its groups, where `check` takes it for a secret.

    Patterns repeat nothing without a bound, so that the time grows with the length of the text alone.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Check | None = None
    quoted: Check | None = None
    """The check of a value in quotes, where it is another one."""
    before: re.Pattern[str] | None = None
    """What the line before the find must look like, at its end."""
    each: re.Pattern[str] | None = None
    """Finds the values within what `pattern` found, where that is a list of them."""
    near: tuple[str, ...] = ()
    """It is tried on lines that hold one of these, in lower case; none: where its pattern can begin."""

    def spans(self, text: str, places: list[int] | None = None) -> Iterator[Span]:
        """Where in `text` something is to be masked.

        `places`, ascending, are where it is worth trying, or the words of `near`; None: anywhere.
        """
        for match in self._matches(text, places):
            if self.before is not None and not self._follows(text, match.start(), self.before):
                continue
            for group in range(1, self.pattern.groups + 1):
                if match[group] is None:
                    continue
                if self.each is None:
                    yield from self._checked(text, *match.span(group))
                    continue
                for one in self.each.finditer(text, *match.span(group)):
                    yield from self._checked(text, *one.span(one.lastindex or 0))

    def _matches(self, text: str, places: list[int] | None) -> Iterator[re.Match[str]]:
        if places is None:
            yield from self.pattern.finditer(text)
            return
        end = 0
        for place in places:
            if place < end:
                continue
            if self.near:
                line, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
                end = len(text) if end < 0 else end
                yield from self.pattern.finditer(text, line, end)
            elif (match := self.pattern.match(text, place)) is not None:
                end = match.end()
                yield match

    def _follows(self, text: str, start: int, before: re.Pattern[str]) -> bool:
        line = text.rfind("\n", max(0, start - LOOK_BACK), start) + 1
        return before.search(text[max(line, start - LOOK_BACK) : start]) is not None

    def _checked(self, text: str, start: int, end: int) -> Iterator[Span]:
        in_quotes = start > 0 and text[start - 1] in "\"'「『"
        if not in_quotes:
            end = start + len(_TAIL.sub("", text[start:end]))
        check = self.quoted if in_quotes and self.quoted is not None else self.check
        if end > start and (check is None or check(text[start:end])):
            yield start, end


def finds(text: str, level: MaskLevel) -> Iterator[tuple[int, int, str]]:
    """Where in `text` something is to be masked by the rules of `level`, and as which kind."""
    rules = masking_rules()[level]
    for number, places in sorted(places_of(level).of(text).items()):
        for start, end in rules[number].spans(text, places):
            yield start, end, rules[number].kind


@cache
def places_of(level: MaskLevel) -> Places:
    """Where the rules of `level` are to be tried."""
    return Places([rule.near or beginnings(rule.pattern) for rule in masking_rules()[level]])


@cache
def masking_rules() -> Mapping[MaskLevel, tuple[Rule, ...]]:
    """The rules of each level, the most telling first."""
    table = values.table()
    read = _Reader(table["fragments"])
    secrets = tuple(read.rule(row) for section in _SECRETS for row in table[section])
    more = tuple(read.rule(row) for row in table["personal"])
    return MappingProxyType({"off": (), "secrets": secrets, "personal": (*secrets, *more)})


class _Reader:
    """Reads rows of masking.yaml."""

    def __init__(self, fragments: Mapping[str, str]) -> None:
        self._fragments = fragments

    def rule(self, row: Mapping[str, Any]) -> Rule:
        """The rule of one row."""
        if "commands" in row:
            row = _option(**row)
        return Rule(
            row["kind"],
            re.compile(self._text(row["find"])),
            self._check(row, "check"),
            self._check(row, "quoted"),
            self._pattern(row, "after"),
            self._pattern(row, "each"),
            tuple(row.get("near", ())),
        )

    def _pattern(self, row: Mapping[str, Any], name: str) -> re.Pattern[str] | None:
        return re.compile(self._text(row[name])) if name in row else None

    def _check(self, row: Mapping[str, Any], name: str) -> Check | None:
        return getattr(values, row[name]) if name in row else None

    def _text(self, text: str) -> str:
        """`text` on one line, with its fragments in their places."""
        return _FRAGMENT.sub(lambda name: self._text(self._fragments[name[1]]), "".join(text.splitlines()))


def _option(
    commands: str,
    option: str,
    value: str = "<<WORD_VALUE>>",
    check: str = "possible",
    near: Sequence[str] = (),
) -> dict[str, Any]:
    """The row for the value of `option` of some programs."""
    find, each = rf"(?<![\w-])(?:{commands})\b([^\n|]{{1,600}})", rf"(?<=[ \t])(?:{option}){value}"
    return {"kind": "PASSWORD", "find": find, "each": each, "check": check, "near": near}


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
