"""Pages in both languages: the runbooks of the alerts, and the words of the recovery card and of drills.

A runbook is runbooks/NAME.md: Japanese first, then English below `## English`. Three sections in each
language: what it means, how to check (numbered), how to fix. The first two steps of the check go out with the
alert itself, so that they are there when no page can be opened.

A line (paragraph or item of a list, in one line) that is true of one host alone, or of several alone, begins
with a label, see _ONE_HOST. Whoever reads a page for no stack sees both; a stack's has its own, without the
label. There `HOST` stands for a host's name; in a message it is the one that the alert is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from types import MappingProxyType

from techsapo_ops.catalogue.yaml_text import packaged_yaml

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
_ONE_HOST = ("On one host: ", "1 台のホスト：")
_SEVERAL_HOSTS = ("On several hosts: ", "複数のホスト：")
_ON_SEVERAL_HOSTS: Mapping[str, str] = {
    "techsapo exec redis redis-cli": "techsapo exec redis-HOST redis-cli",
    "techsapo exec mysql mariadb": "techsapo exec mysql-HOST mariadb",
    "techsapo restart app-1`": "techsapo restart app`",  # one after another; app-1 is app-1-HOST there
}
"""By what a runbook says, what takes its place there."""
_ITEM = r"^(\d+\. |- |)"
_NUMBER = re.compile(r"^\d+(?=\. )", re.MULTILINE)
_PLACEHOLDER = {
    "ja": "`HOST` はホストの名前です。アラートが示すホスト、なければ下の確認で見つけたホストです。",
    "en": "`HOST` is the name of a host: the one that the alert names, else one that you find as below.",
}


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

    def of_stack(self, own: Mapping[str, str], *, hosts: int, locales: Sequence[str] = LOCALES) -> Runbook:
        """The same for a stack on so many `hosts`, 0 for one, with its own ports and logins.

        `own` is by text what takes its place. In `locales` alone.
        """
        return Runbook(
            self.name,
            {locale: _of_hosts(_replaced(self.text[locale], own), locale, hosts) for locale in locales},
        )


def _of_hosts(text: str, locale: str, hosts: int) -> str:
    """`text` without what is labelled as true elsewhere, and without the labels of the rest."""
    here, elsewhere = _ONE_HOST, _SEVERAL_HOSTS
    if hosts:
        here, elsewhere = elsewhere, here
        text = _replaced(text, _ON_SEVERAL_HOSTS)
    text = re.sub(_labelled(elsewhere) + r".*\n", "", text, flags=re.MULTILINE)
    text = re.sub(
        _labelled(here) + "(.)", lambda match: match[1] + match[2].upper(), text, flags=re.MULTILINE
    )
    heading, *sections = re.split(r"(?=^## )", re.sub(r"\n{3,}", "\n\n", text), flags=re.MULTILINE)
    sections = [_numbered(section) for section in sections]
    if hosts and "HOST" in text:
        sections[0] += f"{_PLACEHOLDER[locale]}\n\n"
    return heading + "".join(sections)


def _labelled(labels: Sequence[str]) -> str:
    return f"{_ITEM}(?:{'|'.join(labels)})"


def _numbered(section: str) -> str:
    numbers = count(1)
    return _NUMBER.sub(lambda _: str(next(numbers)), section)


def _replaced(text: str, own: Mapping[str, str]) -> str:
    # The longer first, which begins as another one does; in one go, so that nothing is replaced twice.
    longest_first = sorted(own, key=len, reverse=True)
    if not longest_first:
        return text
    return re.sub("|".join(map(re.escape, longest_first)), lambda match: own[match[0]], text)


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
    parsed = [_parsed(page.read_text(encoding="utf-8")) for page in pages if page.name.endswith(".md")]
    return MappingProxyType({page.name: page for page in sorted(parsed, key=lambda page: page.name)})


@dataclass(frozen=True, slots=True)
class Words:
    """The words in one language, `ja` or `en`."""

    locale: str
    file: str

    def __call__(self, name: str, /, **values: object) -> str:
        """The words of that name, with `values` filled in."""
        return words_in(self.file)[name][self.locale].format(**values)


@cache
def words_in(file: str) -> Mapping[str, Mapping[str, str]]:
    """By name the words of a file in this folder, in each language."""
    loaded: Mapping[str, Mapping[str, str]] = packaged_yaml(file)
    return loaded
