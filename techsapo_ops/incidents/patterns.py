"""Lines of logs as patterns: what varies is taken out, and lines that then are alike are one.

The tree of Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", 2017) is a table
here, by service, number of words and first word: a pattern is the words that all its lines share. Each line
is looked at once, up to LONGEST characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from techsapo_ops.incidents.material import Level, Line

LONGEST = 400
"""Characters of a line that count."""
MOST = 2_000
"""Patterns; lines beyond that count as of the pattern `…` of their service."""
_ALIKE = 0.65
"""The share of words that a line must share with a pattern."""
_NEAREST = 20
"""Patterns of a bucket with which a new one is compared."""
_MOST_WORDS = 60
_REMEMBERED = 20_000
"""Words whose masked form is remembered."""
_ANY = "<*>"
_DIGITS = str.maketrans({**dict.fromkeys("123456789", "0"), **{chr(0xFF10 + n): "0" for n in range(10)}})
_QUOTED = re.compile(
    r""""[^"\n]{0,300}"|(?<!\w)'[^'\n]{1,300}'(?!\w)|「[^」\n]{0,300}」|『[^』\n]{0,300}』"""
)
_CODE = re.compile(r"\W{0,2}(?:status|code|errno|error|signal|exit|http)\W{0,2}\d{1,5}\W{0,3}", re.IGNORECASE)
_BEFORE_CODE = frozenset({"status", "code", "errno", "error", "signal", "exited", "returned"})
"""Words after which a number is no variable."""
_VARIABLE = re.compile(
    r"""
      (?P<url>[a-z][a-z0-9+.-]{1,15}://[^\s"'<>]+)
    | (?P<time>\d{4}[-/]\d\d[-/]\d\d(?:[T_]\d\d:\d\d:\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?
             | \d\d:\d\d:\d\d(?:[.,]\d+)?)
    | (?P<mail>[\w.+-]{1,64}@[\w-]+\.[\w.-]+)
    | (?P<address>\d{1,3}(?:\.\d{1,3}){3}(?::\d+)? | (?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4})
    | (?P<id>0x[0-9a-f]+ | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} | \b(?=[a-f]*\d)[0-9a-f]{7,}\b
           | \b(?=[a-z_-]*\d)(?=[\d_-]*[a-z])[a-z0-9_-]{20,})
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
        """The pattern as it is shown."""
        return " ".join(self.words)


class Patterns:
    """Collects lines, in any order, into patterns."""

    def __init__(self) -> None:
        self._masked: dict[str, str] = {}
        self._exact: dict[tuple[str, str, str], Pattern] = {}
        self._alike: dict[tuple[str, int, str], list[Pattern]] = {}
        self.all: list[Pattern] = []

    def add(self, line: Line) -> None:
        """Count one line."""
        text = line.text[:LONGEST]
        words = [self._word(word) for word in _QUOTED.sub("<quoted>", text).split()[:_MOST_WORDS]]
        for number, word in enumerate(words[1:], 1):
            if "<number>" in word and words[number - 1].strip(":=(").lower() in _BEFORE_CODE:
                words[number] = text.split()[number] if number < len(text.split()) else word
        pattern = self._pattern(line, words)
        pattern.times.append(line.at.timestamp())
        if line.level == "error" or not pattern.level:
            pattern.level = line.level

    def _word(self, word: str) -> str:
        masked = self._masked.get(word)
        if masked is not None:
            return masked
        if len(self._masked) >= _REMEMBERED:
            self._masked.clear()
        if word.isalpha() or _CODE.fullmatch(word):
            self._masked[word] = word
            return word
        key = word.translate(_DIGITS)
        masked = self._masked.get(key)
        if masked is None:
            masked = self._masked[key] = _VARIABLE.sub(lambda match: f"<{match.lastgroup}>", key)
        return masked

    def _pattern(self, line: Line, words: list[str]) -> Pattern:
        exact = (line.service, line.host, " ".join(words))
        pattern = self._exact.get(exact)
        if pattern is not None:
            return pattern
        bucket = self._alike.setdefault((line.service, len(words), words[0] if words else ""), [])
        for known in bucket[-_NEAREST:]:
            shared = sum(a == b for a, b in zip(known.words, words, strict=True))
            if shared >= _ALIKE * len(words) and len(words) > 3:
                known.words = [a if a == b else _ANY for a, b in zip(known.words, words, strict=True)]
                pattern = known
                break
        else:
            pattern = Pattern(line.service, line.host, words, line.text, line.level)
            if len(self.all) < MOST:
                bucket.append(pattern)
                self.all.append(pattern)
        if len(self._exact) < MOST * 4:
            self._exact[exact] = pattern
        return pattern


def mined(lines: Iterable[Line]) -> list[Pattern]:
    """The patterns of `lines`, in the order of their first ones."""
    patterns = Patterns()
    for line in sorted(lines, key=lambda line: (line.at, line.service, line.host, line.text)):
        patterns.add(line)
    return patterns.all
