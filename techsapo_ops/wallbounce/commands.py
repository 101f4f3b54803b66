"""Which commands an answer holds, which of them can't be undone, and which only read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.language import Language
from techsapo_ops.wallbounce.similarity import fold

_QUOTED = re.compile(
    r"`([^`\n]{2,200})`|「([^「」\n]{2,200})」|^[ \t]{0,8}\$[ \t]+(\S[^\n]{1,200})$", re.MULTILINE
)
_WORD = re.compile("[a-z]+|>")
_LINE_END = re.compile(r"[\n;|`」。]|&&")
_FENCED = re.compile(r"```[^\n`]{0,40}\n(.*?)```", re.DOTALL)
_MARGIN = 160
"""Characters of a command that are shown after the part that was recognised."""

_WRITES = re.compile(
    r"[>`]|\btee\b|\$\(|<\(|\bxargs\b|--vacuum|--rotate|\s-delete\b|--flush|\bkill\b|-exec\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    words: frozenset[str]
    pattern: re.Pattern[str]
    why: dict[Language, str]


@dataclass(frozen=True, slots=True)
class Destructive:
    """A command that can't be undone, as it stands in the answer, and what it destroys."""

    command: str
    kind: str
    why: str


def read_table() -> None:
    """Read the lists of commands now, so that the first question does not wait for them."""
    _rules()
    _read_only()


@cache
def _read_only() -> re.Pattern[str]:
    text = (files("techsapo_ops.wallbounce") / "read_only.yaml").read_text(encoding="utf-8")
    return re.compile(yaml.safe_load(text)["pattern"], re.IGNORECASE | re.VERBOSE)


@cache
def _rules() -> tuple[_Rule, ...]:
    text = (files("techsapo_ops.wallbounce") / "destructive.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    return tuple(
        _Rule(
            r["kind"],
            frozenset(r["words"]),
            re.compile(r["pattern"], re.IGNORECASE),
            {"ja": r["ja"], "en": r["en"]},
        )
        for r in raw
    )


@cache
def _rule_words() -> frozenset[str]:
    """Every word of which some rule needs one."""
    return frozenset().union(*(rule.words for rule in _rules()))


def destructive(text: str, language: Language = "en") -> tuple[Destructive, ...]:
    """Every command in `text` that can't be undone, each once, in the order of the text.

    A warning against a command is found like the command: to mark too much is the safe side.
    """
    folded = fold(text)
    words = set(_WORD.findall(folded.casefold()))
    if words.isdisjoint(_rule_words()):
        return ()
    found: dict[tuple[str, str], tuple[int, Destructive]] = {}
    for rule in _rules():
        if words.isdisjoint(rule.words):
            continue
        for match in rule.pattern.finditer(folded):
            end = _LINE_END.search(folded, match.end(), match.end() + _MARGIN)
            stop = end.start() if end else min(len(folded), match.end() + _MARGIN)
            start = match.start()
            command = " ".join(folded[start:stop].strip(" :「`'\"").split())
            found.setdefault(
                (rule.kind, command), (start, Destructive(command, rule.kind, rule.why[language]))
            )
    return tuple(d for _, d in sorted(found.values(), key=lambda item: item[0]))


def destructive_in(answer: Answer, language: Language = "en") -> tuple[Destructive, ...]:
    """Every command of `answer` that can't be undone, from its commands, claims and text."""
    seen: dict[tuple[str, str], Destructive] = {}
    for each in destructive(whole(answer), language):
        seen.setdefault(identity(each), each)
    return tuple(seen.values())


def whole(answer: Answer) -> str:
    """Everything that an answer says, a line each."""
    return "\n".join((*answer.commands, answer.text, answer.root_cause, *answer.claims))


def identity(command: Destructive) -> tuple[str, str]:
    """What makes two destructive commands the same one: kind and targets, flags and spacing aside."""
    words = [w for w in command.command.casefold().split() if not w.startswith("-")]
    return command.kind, " ".join(w for w in words if w != "sudo")


def commands_of(answer: Answer) -> tuple[str, ...]:
    """The commands of `answer`: those it lists, else what stands in code marks or 「」 in its text."""
    if answer.commands:
        return answer.commands
    found = dict.fromkeys(_quoted(answer.text))
    return tuple(c for c in found if re.match(r"[a-zA-Z./]", c))


def read_only(command: str) -> bool:
    """Whether every part of `command` is known to only read. What is not known is not read-only."""
    folded = fold(command).strip()
    if not folded or _WRITES.search(folded) or destructive(folded):
        return False
    parts = re.split(r"\|\||&&|[;|&\n]", folded)
    return all(_read_only().match(part.strip()) for part in parts)


def _quoted(text: str) -> Iterator[str]:
    for block in _FENCED.findall(text):
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip())
    for match in _QUOTED.finditer(_FENCED.sub("", text)):
        yield next(g for g in match.groups() if g is not None).strip()
