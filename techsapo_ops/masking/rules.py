"""The rules of masking, loaded from catalogue/masking.yaml: where something stands that is taken out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.masking import MaskLevel, values
from techsapo_ops.masking.beginnings import Places, beginnings

Check = Callable[[str], bool]
Span = tuple[int, int]

LOOK_BACK = 400
"""Characters of a line before a find that `before` is shown."""
_SECRETS = ("forms", "headers", "urls", "names", "commands", "sql", "lines")
_FRAGMENT = re.compile(r"<<([A-Z_]+)>>")
_TAIL = re.compile(r"[\s),\]};|&`>。、」.:?!\\]{1,16}$")


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
