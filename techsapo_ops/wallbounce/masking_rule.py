"""The rules of masking, loaded from catalogue/masking.yaml: where something stands that is taken out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.spec.models.app import MaskLevel
from techsapo_ops.wallbounce import personal_data, secret_values

Check = Callable[[str], bool]
Span = tuple[int, int]

LOOK_BACK = 200
"""Characters of a line before a find that `before` is shown."""
_SECRETS = ("forms", "headers", "urls", "names", "commands", "sql", "lines")
_FRAGMENT = re.compile(r"<<([A-Z_]+)>>")
_PROGRAM = re.compile(r"[a-z0-9_-]{2,}")
_TAIL = re.compile(r"[\s),\]};|&`>。、」.:?!\\]{1,16}$")


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds what `pattern` puts into its groups, where `check` takes it for a secret.

    It looks only at texts in which one of `hints` occurs, in lower case; no hints: at every text. Patterns
    repeat nothing without a bound, so that the time grows with the length of the text alone.
    """

    kind: str
    pattern: re.Pattern[str]
    check: Check | None = None
    hints: tuple[str, ...] = ()
    quoted: Check | None = None
    """The check of a value in quotes, where it is another one."""
    before: re.Pattern[str] | None = None
    """What the line before the find must look like, at its end."""
    each: re.Pattern[str] | None = None
    """Finds the values within what `pattern` found, where that is a list of them."""

    def spans(self, text: str, low: str) -> Iterator[Span]:
        """Where in `text`, which in lower case is `low`, something is to be masked."""
        if self.hints and not any(hint in low for hint in self.hints):
            return
        for match in self.pattern.finditer(text):
            if self.before is not None and not self._follows(text, match.start()):
                continue
            for group in range(1, self.pattern.groups + 1):
                if match[group] is None:
                    continue
                if self.each is None:
                    yield from self._checked(text, *match.span(group))
                    continue
                for one in self.each.finditer(text, *match.span(group)):
                    yield from self._checked(text, *one.span(one.lastindex or 0))

    def _follows(self, text: str, start: int) -> bool:
        line = text.rfind("\n", max(0, start - LOOK_BACK), start) + 1
        return (
            self.before is None or self.before.search(text[max(line, start - LOOK_BACK) : start]) is not None
        )

    def _checked(self, text: str, start: int, end: int) -> Iterator[Span]:
        in_quotes = start > 0 and text[start - 1] in "\"'「『"
        if not in_quotes:
            end = start + len(_TAIL.sub("", text[start:end]))
        check = self.quoted if in_quotes and self.quoted is not None else self.check
        if end > start and (check is None or check(text[start:end])):
            yield start, end


@cache
def masking_rules() -> Mapping[MaskLevel, tuple[Rule, ...]]:
    """The rules of each level, the most telling first."""
    table = packaged_yaml("masking.yaml")
    read = _Reader(table["fragments"], table["hints"])
    secrets = tuple(read.rule(row) for section in _SECRETS for row in table[section])
    personal = tuple(map(read.rule, table["personal"]))
    return MappingProxyType({"off": (), "secrets": secrets, "personal": (*secrets, *personal)})


class _Reader:
    """Reads rows of masking.yaml."""

    def __init__(self, fragments: Mapping[str, str], hints: Mapping[str, list[str]]) -> None:
        self._fragments = fragments
        self._hints = hints

    def rule(self, row: Mapping[str, Any]) -> Rule:
        """The rule of one row."""
        if "commands" in row:
            return self._option(**row)
        hints = row.get("hints", [])
        return Rule(
            row["kind"],
            self._pattern(row["find"]),
            _check(row.get("check")),
            tuple(self._hints[hints] if isinstance(hints, str) else hints),
            _check(row.get("quoted")),
            self._pattern(row["after"]) if "after" in row else None,
            self._pattern(row["each"]) if "each" in row else None,
        )

    def _option(
        self, commands: str, option: str, value: str = "<<WORD_VALUE>>", check: str = "possible"
    ) -> Rule:
        """The value of `option` of some programs, whose names are hints as well."""
        names = [_PROGRAM.findall(part) for part in self._text(commands).split("|")]
        return Rule(
            "PASSWORD",
            self._pattern(rf"(?<![\w-])(?:{commands})\b([^\n|]{{1,600}})"),
            _check(check),
            tuple(max(parts, key=len) for parts in names if parts),
            each=self._pattern(rf"(?<=[ \t])(?:{option}){value}"),
        )

    def _pattern(self, text: str) -> re.Pattern[str]:
        return re.compile(self._text(text))

    def _text(self, text: str) -> str:
        """`text` on one line, with its fragments in their places."""
        return _FRAGMENT.sub(lambda found: self._text(self._fragments[found[1]]), "".join(text.splitlines()))


def _check(name: str | None) -> Check | None:
    if name is None:
        return None
    check: Check = getattr(secret_values, name, None) or getattr(personal_data, name)
    return check
