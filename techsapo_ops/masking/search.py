"""What is looked for in one pass over a text: where each rule may begin, and secrets known by their value.

What a pattern can begin with is read from the pattern, so that no list of words has to agree with it. There
are more than a hundred rules, and trying each at every place of 8 KB took 36 ms.
"""

from __future__ import annotations

import html
import json
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

LONGEST = 10
"""Characters of a beginning; more would tell little more."""
SHORTEST = 4
"""Characters of a secret that is looked for: a shorter one stands in every file by chance."""
_NO_BREAK = re.compile(r"\[\^(?:[^\]\\]|\\.)*?\\[ns](?:[^\]\\]|\\.)*\]|\\\\")
"""In a pattern: all but some signs and the end of a line; a backslash."""
_MOST = 400
"""Beginnings of one pattern; where another element would make more, they end before it."""
_HEAD = 64
"""Characters of a known secret that are looked for first: `str.find` prepares itself anew for a long text."""
_IN_A_WORD = frozenset(string.ascii_letters + string.digits)
_WORD_END = re.compile(r"[^A-Za-z0-9]|\Z")
_WIDEST = 8
"""Characters of a set that still counts as so many beginnings."""
_ODD_CASES = (("\u0130", "i"), ("\u0131", "i"), ("\u017f", "s"))
"""Letters that `re` takes for ASCII ones where case does not count, and that are others in lower case."""
_Begun = set[tuple[str, bool]]
"""Texts, and whether each is all of what was read so far: then more of the pattern can be added to it."""


class Places:
    """Finds where each of some rules is to be tried, by the texts that it begins with, or stands near."""

    def __init__(self, texts: Mapping[int, Sequence[str]]) -> None:
        """`texts` by the number of their rule."""
        from ahocorasick_rs import AhoCorasick  # only whoever masks needs it

        rules: dict[str, list[int]] = defaultdict(list)
        for rule, each in texts.items():
            for text in each:
                rules[text].append(rule)
        self._rules = tuple(rules.values())
        self._anywhere = [rule for rule, each in texts.items() if not each]
        self._automaton = AhoCorasick(list(rules))

    def of(self, low: str, lines: Iterable[tuple[int, int]]) -> dict[int, list[int] | None]:
        """Where to try which rule, by its number, in some `lines` of a text that is `low` when `folded`: an
        ascending list, or None for anywhere.
        """
        texts: dict[int, list[int]] = defaultdict(list)
        for begin, end in lines:
            for number, at, _ in self._automaton.find_matches_as_indexes(low[begin:end], overlapping=True):
                texts[number].append(begin + at)
        places: dict[int, list[int]] = defaultdict(list)
        for number, begun in texts.items():
            for rule in self._rules[number]:
                places[rule] += begun
        return {rule: sorted(begun) for rule, begun in places.items()} | dict.fromkeys(self._anywhere)


class Finder:
    """Whether one of some patterns is in a text: each is tried where it can begin, in a tenth of a search."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self._patterns = patterns
        self._places = Places({number: beginnings(each.pattern) for number, each in enumerate(patterns)})

    def within(self, text: str) -> bool:
        """Whether it is."""
        return any(
            self._patterns[number].search(text) is not None
            if places is None
            else any(self._patterns[number].match(text, place) for place in places)
            for number, places in self._places.of(folded(text), [(0, len(text))]).items()
        )


def searchable(text: str) -> str:
    """`text` as UTF-8 can hold it, of the same length: half of a surrogate pair is a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """`text` in lower case as `re` takes it where case does not count, and of the same length."""
    for odd, letter in _ODD_CASES:
        text = text.replace(odd, letter)
    return searchable(text.lower())


def lines_at(places: Iterable[tuple[int, int]], text: str) -> Iterator[tuple[int, int]]:
    """The lines of `text` that `places`, ascending, touch."""
    last = 0
    for start, stop in places:
        if stop > last:
            line, last = text.rfind("\n", last, start) + 1 or last, text.find("\n", stop) + 1 or len(text)
            yield line, last


def places_alone(value: str, text: str) -> Iterator[int]:
    """Where `value` stands in `text`, with no letter or digit beside it."""
    start = text.find(value[:_HEAD])
    while start >= 0:
        end = start + len(value)
        if _IN_A_WORD.isdisjoint(text[start - 1 : start] + text[end : end + 1]) and text.startswith(
            value, start
        ):
            yield start
        elif (word := _WORD_END.search(text, start)) is not None:
            end = word.end()
        start = text.find(value[:_HEAD], end)


class Expression:
    """A regular expression that is compiled when it is first tried: most texts hold nothing that most of them
    begin with, and compiling them all was a tenth of the app's start.
    """

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """What is tried."""
        if self._compiled is None:
            self._compiled = re.compile(self.text)
        return self._compiled


def beginnings(pattern: str) -> Sequence[str]:
    """The texts, in lower case, with one of which any match of `pattern` begins; none where it may be any."""
    tree = parser.parse(pattern)
    begun: list[str] = []
    for text in sorted(text for text, _ in _begun(tree)):
        if not text:
            return ()
        if not begun or not text.startswith(begun[-1]):  # what another begins with is enough
            begun.append(text)
    leaps = tree[0][0] is sre.LITERAL and len("".join(begun)) == 1
    return () if leaps else begun


def beyond_lines(pattern: str) -> bool:
    """Whether a match of `pattern` may reach, or look, beyond the end of a line. In doubt it may."""
    return re.search(r"\\[nsDW]|\[\^", _NO_BREAK.sub("", pattern)) is not None


def _begun(elements: Iterable[tuple[Any, Any]]) -> _Begun:
    begun: _Begun = {("", True)}
    for element in elements:
        following = _first(*element)
        longer = {each for each in begun if not each[1]}
        for text, whole in begun - longer:
            for more, all_of_it in following:
                both = text + more
                longer.add((both[:LONGEST], whole and all_of_it and len(both) < LONGEST))
        if len(longer) > _MOST:
            return {(text, False) for text, _ in begun}
        begun = longer
        if not any(whole for _, whole in begun):
            break
    return begun


def _first(operation: Any, argument: Any) -> _Begun:
    """What one element of a pattern can begin with."""
    if operation in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
        return {("", True)}
    if operation is sre.LITERAL:
        return {(chr(argument).lower(), True)}
    if operation is sre.IN:
        letters = _letters(argument)
        return {(letter, True) for letter in letters} if letters else {("", False)}
    if operation in (sre.SUBPATTERN, sre.ATOMIC_GROUP):
        return _begun(argument[-1] if operation is sre.SUBPATTERN else argument)
    if operation is sre.BRANCH:
        return {each for branch in argument[1] for each in _begun(branch)}
    if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, repeated = argument
        once = _begun(repeated)
        if most > 1:
            once = {(text, False) for text, _ in once}
        return once if least else once | {("", True)}
    return {("", False)}


def _letters(members: Iterable[tuple[Any, Any]]) -> set[str]:
    """The characters of a set in lower case; none where it is wide, or has classes in it."""
    letters: set[str] = set()
    for operation, argument in members:
        if operation is sre.LITERAL:
            letters.add(chr(argument).lower())
        elif operation is sre.RANGE and argument[1] - argument[0] < _WIDEST:
            letters |= {chr(code).lower() for code in range(argument[0], argument[1] + 1)}
        else:
            return set()
    return letters if len(letters) <= _WIDEST else set()


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
