"""Values within a command that are judged themselves, by the kinds that reading.yaml names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from techsapo_ops.catalogue.commands import reading
from techsapo_ops.wallbounce.classifier.judgement import READS, UNKNOWN, Judgement, Word
from techsapo_ops.wallbounce.classifier.programs import awk_reads, sed_reads
from techsapo_ops.wallbounce.classifier.sql import judge_sql

_NUMBER = re.compile(r"[+-]?[\d.]+[a-zA-Z]*\Z")
_URL = re.compile(r"(?i)(?:https?://)?[^\s/:-][^\s/]*(?:/.*)?\Z")
_SETTING = re.compile(r"[\w./*-]+\Z")
_PAGED = re.compile(r"\+(?:[FG]|\d+)?\Z")


def judge_value(kind: str, words: Sequence[Word]) -> Judgement:
    """What a value of that kind does; one that is not known until it runs is unknown."""
    checks = _CHECKS.get(kind)
    if kind.startswith("sql_"):
        return judge_sql(words[0].text, kind.removeprefix("sql_")) if _fixed(words) else UNKNOWN
    if checks is None:
        raise LookupError(f"reading.yaml: no kind of value is called {kind}")
    return READS if checks(words) else UNKNOWN


def _fixed(words: Sequence[Word]) -> bool:
    return all(w.fixed for w in words)


def _matching(pattern: re.Pattern[str]) -> Callable[[Sequence[Word]], bool]:
    return lambda words: _fixed(words) and bool(pattern.match(words[0].text))


def _keystore(words: Sequence[Word]) -> bool:
    """The command of a key-value server: one word, or two that belong together."""
    known = reading().keystore
    said = [w.text.casefold() for w in words[:2] if w.fixed]
    return bool(said) and words[0].fixed and (said[0] in known or ":".join(said) in known)


def _ssh_option(words: Sequence[Word]) -> bool:
    return _fixed(words) and re.split(r"[= ]", words[0].text.casefold())[0] in reading().ssh_options


def _url(words: Sequence[Word]) -> bool:
    """An address of the web; what is put in when it runs may stand behind a scheme alone."""
    word = words[0]
    if not word.fixed:
        return word.text.casefold().startswith(("http://", "https://"))
    return "://" not in re.sub(r"(?i)^https?://", "", word.text) and bool(_URL.match(word.text))


_CHECKS: dict[str, Callable[[Sequence[Word]], bool]] = {
    "number": _matching(_NUMBER),
    "format": _matching(re.compile(r"\+")),
    "setting_name": _matching(_SETTING),
    "variable": _matching(re.compile(r"[a-z_][a-z0-9_]*\Z")),
    "chain": _matching(re.compile(r"[\w-]+\Z")),
    "paged": lambda words: not words[0].text.startswith("+") or bool(_PAGED.match(words[0].text)),
    "local": lambda words: _fixed(words) and ":" not in words[0].text,
    "git_remote": lambda words: _fixed(words) and "::" not in words[0].text,
    "awk": lambda words: _fixed(words) and awk_reads(words[0].text),
    "sed": lambda words: _fixed(words) and sed_reads(words[0].text),
    "keystore": _keystore,
    "ssh_option": _ssh_option,
    "url": _url,
    "cookie": lambda words: _fixed(words) and "=" in words[0].text,
    "writeout": lambda words: (
        _fixed(words) and "%output" not in words[0].text and not words[0].text.startswith("@")
    ),
}
