"""Takes secrets, or personal data too, out of text. Pure. It reduces what leaks and does not prevent it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from techsapo_ops import catalogue
from techsapo_ops.catalogue.compiled import FOLDER, compiled
from techsapo_ops.masking import MaskLevel, search, values
from techsapo_ops.masking.fields import manifest_spans
from techsapo_ops.masking.search import (
    Expression,
    Places,
    beginnings,
    beyond_lines,
    folded,
    lines_at,
    places_alone,
)
from techsapo_ops.masking.values import strong

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
TURN = 0.001
"""Seconds of masking before the event loop has a turn."""
_TRIES = 100
"""Places at which a rule is tried before a break: that takes a millisecond at most."""
FORMAT = 1
"""Another one for each change of what is kept of patterns."""
_Find = tuple[int, int, int, str]
"""Where it begins, minus where it ends, the rule's number and its kind: in order, the longest first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds what `pattern` puts into its groups, where `check` takes it for a secret.

    Patterns repeat nothing without a bound, so that the time grows with the length of the text alone.
    """

    kind: str
    find: Expression
    check: Check | None = None
    quoted: Check | None = None
    """The check of a value in quotes, where it is another one."""
    after: Expression | None = None
    """What the line before the find must look like, at its end."""
    parts: Expression | None = None
    """Finds the values within what `pattern` found, where that is a list of them."""
    near: tuple[str, ...] = ()
    """It is tried on lines that hold one of these, in lower case; none: where its pattern can begin."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What finds it."""
        return self.find.pattern

    @property
    def before(self) -> re.Pattern[str] | None:
        """`after`, compiled."""
        return None if self.after is None else self.after.pattern

    @property
    def each(self) -> re.Pattern[str] | None:
        """`parts`, compiled."""
        return None if self.parts is None else self.parts.pattern

    def spans(self, text: str, places: list[int] | None = None) -> Iterator[Span | None]:
        """Where in `text` something is to be masked, and None now and then, for whoever makes a break.

        `places`, ascending, are where it is worth trying, or the words of `near`; None: anywhere.
        """
        for match in self._matches(text, places):
            if match is None:
                yield None
                continue
            if (before := self.before) is not None and not self._follows(text, match.start(), before):
                continue
            each = self.each
            for group in range(1, match.re.groups + 1):
                if match[group] is None:
                    continue
                if each is None:
                    yield from self._checked(text, *match.span(group))
                    continue
                for one in each.finditer(text, *match.span(group)):
                    yield from self._checked(text, *one.span(one.lastindex or 0))

    def _matches(self, text: str, places: list[int] | None) -> Iterator[re.Match[str] | None]:
        pattern = self.pattern
        if places is None:
            yield from pattern.finditer(text)
            yield None
            return
        match_at, end = pattern.match, 0
        for first in range(0, len(places), _TRIES):
            for place in places[first : first + _TRIES]:
                if place < end:
                    continue
                if self.near:
                    line, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
                    end = len(text) if end < 0 else end
                    yield from pattern.finditer(text, line, end)
                elif (match := match_at(text, place)) is not None:
                    end = match.end()
                    yield match
            yield None

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


@cache
def places_of(level: MaskLevel) -> tuple[Places, Places]:
    """Where to try the rules of `level`: those for which a whole text is read, and those of single lines."""
    texts: tuple[dict[int, Sequence[str]], dict[int, Sequence[str]]] = {}, {}
    known = _beginnings()
    for number, rule in enumerate(masking_rules()[level]):
        begun = rule.near or known.get(rule.find.text, ())
        within = begun and (rule.near or not beyond_lines(rule.find.text))
        texts[1 if within else 0][number] = begun
    return Places(texts[0]), Places(texts[1])


def _beginnings() -> Mapping[str, Sequence[str]]:
    """What the pattern of each rule can begin with, by its text: read from them all, or as it was kept."""

    def read() -> dict[str, Sequence[str]]:
        rules = masking_rules()["personal"]
        return {rule.find.text: beginnings(rule.find.text) for rule in rules if not rule.near}

    code = (Path(__file__), Path(search.__file__), Path(catalogue.__file__).parent / values.TABLE)
    # By Python, whose parser of expressions it is.
    file = code[0].parent / FOLDER / f"beginnings.{sys.implementation.cache_tag}.json"
    return compiled(file, {path.name: path for path in code}, FORMAT, read) or read()


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
            Expression(self._text(row["find"])),
            self._check(row, "check"),
            self._check(row, "quoted"),
            self._expression(row, "after"),
            self._expression(row, "each"),
            tuple(row.get("near", ())),
        )

    def _expression(self, row: Mapping[str, Any], name: str) -> Expression | None:
        return Expression(self._text(row[name])) if name in row else None

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
        self._known: list[str] = []
        self._begun: dict[str, Iterator[None]] = {}
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
        if text not in self._done:
            for _ in self._work(text):
                pass
        return self._result(text)

    async def masked(self, text: str) -> str:
        """As `mask`, while the event loop turns: others go on."""
        began = perf_counter()
        for _ in self._work(text):
            if perf_counter() - began > TURN:
                await asyncio.sleep(0)
                began = perf_counter()
        return self._result(text)

    def _result(self, text: str) -> str:
        if text not in self._done:  # a KeyError would show it
            raise RuntimeError("a text was not masked: whoever began with it failed")
        return self._done[text]

    def _work(self, text: str) -> Iterator[None]:
        """The rest of the work of masking `text`, which is done once, whoever waits for it."""
        return self._begun.setdefault(text, self._steps(text))

    def _steps(self, text: str) -> Iterator[None]:
        masked, lines = text, [(0, len(text))]
        for _ in range(MOST_ROUNDS if self.works else 0):
            found: list[_Find] = []
            for find in _finds(masked, self._level, lines):
                if find is None:
                    yield
                else:
                    found.append(find)
            yield
            masked, lines = self._replaced(masked, found)
            yield
            if not lines:
                break  # else what stood before a find may have hidden another one in its line
        self._done[text] = masked

    def _replaced(self, text: str, found: list[_Find]) -> tuple[str, list[Span]]:
        """`text` without what was `found` and what is known, and the lines of it in which that stood."""
        taken = []
        for match in _PLACEHOLDER.finditer(text):
            taken.append(match.span())
            self._numbers[match[1]] = max(self._numbers[match[1]], int(match[2]))
        chosen = _apart(found, taken)
        for start, minus_end, _, kind in chosen:
            self._name(text[start:-minus_end], kind)
        parts, places, last, length = [], [], 0, 0
        for start, minus_end, _, kind in _apart([*chosen, *_apart(self._repeated(text), [])], taken):
            parts += [text[last:start], self._name(text[start:-minus_end], kind)]
            last, length = -minus_end, length + len(parts[-2]) + len(parts[-1])
            places.append((length - len(parts[-1]), length))
        masked = "".join((*parts, text[last:]))
        return masked, list(lines_at(places, masked))

    def _name(self, value: str, kind: str) -> str:
        if value not in self._names:
            self._numbers[kind] += 1
            self._names[value] = f"[{kind}_{self._numbers[kind]}]"
            if len(self._known) < MOST_REPEATED and len(value) >= 6 and "\n" not in value and strong(value):
                self._known.append(value)
        return self._names[value]

    def _repeated(self, text: str) -> Iterator[_Find]:
        """Where secrets that are known already stand once more, without a word that tells of them."""
        for value in self._known:
            for start in places_alone(value, text):
                yield start, -start - len(value), 0, ""


def mask(text: str, level: MaskLevel = "personal") -> str:
    """`text` by itself, without what `level` takes out."""
    return Masker(level).mask(text)


def _finds(text: str, level: MaskLevel, lines: list[Span]) -> Iterator[_Find | None]:
    """What rules find: those that stay within a line in `lines`, others in all of `text`. None is a break."""
    rules, low, (whole, within) = masking_rules()[level], folded(text), places_of(level)
    for places, spans in ((whole, [(0, len(text))]), (within, lines)):
        for number, found in places.of(low, spans).items():
            for span in rules[number].spans(text, found):
                yield span and (span[0], -span[1], number, rules[number].kind)
    for start, end in manifest_spans(text):
        yield start, -end, len(rules), "SECRET"


def _apart(finds: Iterable[_Find], taken: list[Span]) -> list[_Find]:
    """`finds` in the text's order, none within another or over a placeholder: the first and longest."""
    apart: list[_Find] = []
    last = 0
    places = iter([*taken, (1 << 62, 1 << 62)])
    place = next(places)
    for find in sorted(finds):
        start, end = find[0], -find[1]
        while place[1] <= start:
            place = next(places)
        if start >= last and end <= place[0]:
            apart.append(find)
            last = end
    return apart
