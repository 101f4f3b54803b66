"""Lines of logs as patterns: what varies is taken out, and lines that then are alike are one.

The tree of Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", 2017) is a table
here, by service, number of words and first word: a pattern is the words that all its lines share. Each line
is looked at once, up to LONGEST characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import dropwhile

from techsapo_ops.incidents.material import Level, Line
from techsapo_ops.incidents.readers.lines import said_in

LONGEST = 400
"""Characters of a line that count."""
MOST = 2_000
"""Patterns; what is beyond that is the pattern `…` of its service."""
_ALIKE = 0.65
"""The share of words that a line must share with a pattern."""
_NEAREST = 20
"""Patterns of a bucket with which a new one is compared."""
_MOST_WORDS = 60
_MOST_LOOKED = 600_000
"""Characters of words that differ in more than digits, in which what varies is looked for: the time that it
takes grows with them, and whoever writes a log chooses how long its words are."""
_ANY = "<*>"
_REST = "…"
_DIGITS = str.maketrans({**dict.fromkeys("123456789", "0"), **{chr(0xFF10 + n): "0" for n in range(10)}})
_QUOTED = re.compile(  # one set that it begins with, so that the engine is quick to find the next
    r"""["'「『](?:(?<=")(?<!\\")(?:[^"\\\n]|\\.){0,300}"|(?<=')(?<!\w')[^'\n]{1,300}'(?!\w)|(?<=「)[^「」\n]{0,300}」"""
    r"""|(?<=『)[^『』\n]{0,300}』)"""
)
_ID = re.compile(r"(?=[a-f]*\d)[0-9a-f]{7,}", re.IGNORECASE)
_CODE = re.compile(r"\W{0,2}(?:status|code|errno|error|signal|exit|http)\W{0,2}\d{1,5}\W{0,3}", re.IGNORECASE)
_BEFORE_CODE = frozenset(
    {"status", "code", "errno", "error", "signal", "exited", "returned", "answered", "http"}
)
"""Words after which a number is no variable."""
_VARIABLE = re.compile(
    r"""
      (?P<url>[a-z][a-z0-9+.-]{1,15}://[^\s"'<>]+)
    | (?P<time>\d{4}[-/]\d\d[-/]\d\d(?:[T_]\d\d:\d\d:\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?
             | \d\d:\d\d:\d\d(?:[.,]\d+)?)
    | (?P<mail>[\w.+-]{1,64}@[\w-]+\.[\w.-]+)
    | (?P<address>\d{1,3}(?:\.\d{1,3}){3}(?::\d+)? | (?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4})
    | (?P<id>0x[0-9a-f]+ | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} | \b(?=[a-f]*\d)[0-9a-f]{7,}\b
           | \b(?=[a-z_-]{0,40}\d)(?=[\d_-]{0,40}[a-z])[a-z0-9_-]{20,})
    | (?P<path>(?<![\w.])(?:/[\w.@%+~-]+){2,}/?)
    | (?P<number>\d+(?:[.,:]\d+)*)
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(slots=True)
class Pattern:
    """Lines of one service that are alike; `words` has `<*>` where they differ, `times` are Unix seconds."""

    service: str
    host: str
    words: list[str]
    sample: str
    level: Level = ""
    times: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The pattern as it is shown: without the times with which its lines begin."""
        return " ".join(dropwhile(lambda word: word.strip("[]") == "<time>", self.words))


class Patterns:
    """Collects lines, in any order, into patterns."""

    def __init__(self) -> None:
        self._masked: dict[str, str] = {}
        self._looked = 0
        self._exact: dict[tuple[str, str, str], Pattern] = {}
        self._alike: dict[tuple[str, str, int, str], list[Pattern]] = {}
        self.all: list[Pattern] = []

    def add(self, line: Line) -> None:
        """Count one line."""
        text = said_in(line.text)[:LONGEST]
        given = _QUOTED.sub("<quoted>", text).split()[:_MOST_WORDS]
        known = self._masked.get
        words = [known(word) or self._word(word) for word in given]
        if "<number>" in words:
            for number, word in enumerate(words[1:], 1):
                if word == "<number>" and given[number - 1].strip(":=(").lower() in _BEFORE_CODE:
                    words[number] = given[number]
        pattern = self._pattern(line, words)
        pattern.times.append(line.at.timestamp())
        if line.level == "error" or not pattern.level:
            pattern.level = line.level

    def _word(self, word: str) -> str:
        """A word without what varies in it. After much that was never seen, the rest is not looked at."""
        key = word.translate(_DIGITS)
        masked = self._masked.get(key)
        if masked is None:
            self._looked += len(key)
            if self._looked > _MOST_LOOKED:
                return word if word.isalpha() else "<any>"
            if _ID.fullmatch(key):
                return "<id>"  # by far the most of what is different each time
            masked = "" if _CODE.fullmatch(key) else _VARIABLE.sub(lambda found: f"<{found.lastgroup}>", key)
            self._masked[key] = masked
        return masked or word

    def _pattern(self, line: Line, words: list[str]) -> Pattern:
        exact = (line.service, line.host, " ".join(words))
        pattern = self._exact.get(exact)
        if pattern is not None:
            return pattern
        if len(self.all) >= MOST:
            exact, words = (line.service, line.host, _REST), [_REST]
            if exact in self._exact:
                return self._exact[exact]
        bucket = self._alike.setdefault((line.service, line.host, len(words), words[0] if words else ""), [])
        for known in bucket[-_NEAREST:]:
            shared = sum(a == b for a, b in zip(known.words, words, strict=True))
            if shared >= _ALIKE * len(words) and len(words) > 3:
                known.words = [a if a == b else _ANY for a, b in zip(known.words, words, strict=True)]
                pattern = known
                break
        else:
            pattern = Pattern(line.service, line.host, words, line.text, line.level)
            bucket.append(pattern)
            self.all.append(pattern)
        if len(self._exact) < MOST * 4 or words == [_REST]:
            self._exact[exact] = pattern
        return pattern


def mined(lines: Iterable[Line]) -> list[Pattern]:
    """The patterns of `lines`, in the order of their first ones; lines of one time stay as they are given."""
    patterns = Patterns()
    for line in sorted(lines, key=lambda line: (line.at, line.service, line.host)):
        patterns.add(line)
    return patterns.all
