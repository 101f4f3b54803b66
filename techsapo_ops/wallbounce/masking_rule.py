"""One rule of masking: where something stands that is taken out, and what it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

Check = Callable[[str], bool]
Span = tuple[int, int]

LOOK_BACK = 200
"""Characters of a line before a find that `before` is shown."""
VALUE = (
    r"(?:\\{0,2}\"([^\"\\\n]{1,4096})|\\{0,2}'([^'\\\n]{1,4096})|[「『]([^」』\n]{1,256})"
    r"|([^\s\"'`「」『』]{1,4096}))"
)
"""A value in quotes, or up to the next space."""
WORD_VALUE = r"(?:\"([^\"\n]{1,1024})\"|'([^'\n]{1,1024})'|([^\s\"'`;|&<>]{1,1024}))"
"""A word of a shell's command line."""
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

    def after(self, before: str) -> Rule:
        """The same, where the line before the find ends as `before` says."""
        return replace(self, before=re.compile(before))

    def of_each(self, each: str) -> Rule:
        """The same, where what is found is a list, whose values `each` finds."""
        return replace(self, each=re.compile(each))

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


def rule(
    kind: str, pattern: str, check: Check | None = None, hints: str = "", *, quoted: Check | None = None
) -> Rule:
    """A rule; `hints` are separated by spaces."""
    return Rule(kind, re.compile(pattern), check, tuple(hints.split()), quoted)
