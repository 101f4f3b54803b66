"""The pages of the alerts, runbooks/NAME.md: Japanese first, then English below `## English`.

Three sections in each language: what it means, how to check (numbered), how to fix. The first two steps of
the check go out with the alert itself, so that they are there when no page can be opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

STEPS = 2
"""How many steps of the check are sent."""
LOCALES = ("ja", "en")
_OWN_NAME = re.compile(r"\A# (\S+)\n")
_OTHER_LANGUAGE = re.compile(r"^\[English\]\(#english\)\n+", re.MULTILINE)
_ENGLISH = re.compile(r"^## English\n", re.MULTILINE)
_LOWER_HEADING = re.compile(r"^###", re.MULTILINE)
_SECTION = re.compile(r"^## .+\n", re.MULTILINE)
_STEP = re.compile(r"^\d+\. (.+(?:\n {2,}\S.*)*)", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=。)|(?<=\.)(?= )")
_LINK = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")


@dataclass(frozen=True, slots=True)
class Runbook:
    """The page of one alert, as Markdown by locale, `ja` and `en`; each begins with the alert's name."""

    name: str
    text: Mapping[str, str]

    def meaning(self, locale: str) -> str:
        """What the alert means in one sentence, the first of its page, as plain text."""
        section = _SECTION.split(self.text[locale])[1]
        return _SENTENCE.split(_plain(section.strip().split("\n\n")[0]), maxsplit=1)[0]

    def steps(self, locale: str) -> Sequence[str]:
        """The first steps of the check as plain text, one line each; commands keep their backquotes."""
        check = _SECTION.split(self.text[locale])[2]
        return [_plain(step) for step in _STEP.findall(check)[:STEPS]]

    def of_stack(self, own: Mapping[str, str]) -> Runbook:
        """The same with a stack's own ports and logins: `own` is by text what takes its place."""
        return Runbook(self.name, {locale: _replaced(text, own) for locale, text in self.text.items()})


def _replaced(text: str, own: Mapping[str, str]) -> str:
    # The longer first, which begins as another one does; in one go, so that nothing is replaced twice.
    longest_first = sorted(own, key=len, reverse=True)
    if not longest_first:
        return text
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: own[found[0]], text)


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", " ".join(text.split()))


def _parsed(page: str) -> Runbook:
    named = _OWN_NAME.match(page)
    assert named is not None  # noqa: S101 - our own pages, which a test looks at
    japanese, english = _ENGLISH.split(_OTHER_LANGUAGE.sub("", page[named.end() :]))
    parts = {"ja": japanese, "en": _LOWER_HEADING.sub("##", english)}
    texts = {locale: f"{named[0]}\n{parts[locale].strip()}\n" for locale in LOCALES}
    return Runbook(named[1], MappingProxyType(texts))


@cache
def runbooks() -> Mapping[str, Runbook]:
    """Every page by the name of its alert."""
    pages = (entry for entry in (files("techsapo_ops.catalogue") / "runbooks").iterdir())
    found = [_parsed(page.read_text(encoding="utf-8")) for page in pages if page.name.endswith(".md")]
    return MappingProxyType({page.name: page for page in sorted(found, key=lambda page: page.name)})
