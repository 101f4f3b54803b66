"""Which commands an answer holds, what each does, and how that is found in prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from techsapo_ops.catalogue.commands import Danger, Effect, danger, dangers, reading
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.classifier.judgement import Judgement
from techsapo_ops.wallbounce.classifier.lines import classify
from techsapo_ops.wallbounce.language import Language
from techsapo_ops.wallbounce.similarity import fold

_QUOTED = re.compile(
    r"`([^`\n]{2,200})`|「([^「」\n]{2,200})」|^[ \t]{0,8}\$[ \t]+(\S[^\n]{1,200})$", re.MULTILINE
)
_WORD = re.compile("[a-z]+|>")
_LINE_END = re.compile(r"[\n;|`」。]|&&")
_FENCED = re.compile(r"```[^\n`]{0,40}\n(.*?)```", re.DOTALL)
_COMMAND = re.compile(r"(?:[$#%] +)?[a-zA-Z./>:]")
_MARGIN = 160
"""Characters of a command that are shown after the part that was recognised."""
_MOST = 200
"""Commands of a text that are parsed; patterns are searched for in all of it."""
_LASTING = frozenset({Effect.DESTRUCTIVE, Effect.RUNS_REMOTE_CODE})
"""What can't be undone: nor can what code from elsewhere has done."""


@dataclass(frozen=True, slots=True)
class Dangerous:
    """A dangerous command, as it stands in the answer: of which kind, what it does, and in a user's words."""

    command: str
    kind: str
    why: str
    effects: tuple[Effect, ...] = (Effect.DESTRUCTIVE,)

    @property
    def lasting(self) -> bool:
        """Whether it can't be undone."""
        return not _LASTING.isdisjoint(self.effects)


def read_table() -> None:
    """Read the lists of commands now, so that the first question does not wait for them."""
    _by_words()
    reading()


@cache
def _by_words() -> tuple[tuple[Danger, ...], frozenset[str]]:
    """The kinds that are found in prose, and every word of which some kind needs one."""
    found = tuple(d for d in dangers() if d.pattern is not None)
    return found, frozenset().union(*(d.words for d in found))


def dangerous(text: str, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every dangerous command in `text`, each once: by patterns, and in code marks and 「」 by a parser.

    A warning against a command is found like the command: to mark too much is the safe side.
    """
    found = {identity(d): d for d in _spoken(text, language)}
    for command in list(dict.fromkeys(_quoted(text)))[:_MOST]:
        if _COMMAND.match(command):
            _join(found, _parsed(classify(command), language))
    return tuple(found.values())


def _join(found: dict[tuple[str, str], Dangerous], more: Iterator[Dangerous]) -> None:
    """Add what is not there yet: a parser finds the whole of a command where a pattern may find its end."""
    for each in more:
        kind, words = identity(each)
        if not any(k == kind and (w in words or words in w) for k, w in found):
            found[kind, words] = each


def _parsed(judged: Judgement, language: Language) -> Iterator[Dangerous]:
    for kind, command in dict.fromkeys((h.kind, h.command) for h in judged.hazards):
        yield Dangerous(command[:_MARGIN], kind, danger(kind).why[language], danger(kind).effects)


def _spoken(text: str, language: Language) -> list[Dangerous]:
    kinds, needed = _by_words()
    folded = fold(text)
    words = set(_WORD.findall(folded.casefold()))
    if words.isdisjoint(needed):
        return []
    found: dict[tuple[str, str], tuple[int, Dangerous]] = {}
    for each in kinds:
        if words.isdisjoint(each.words) or each.pattern is None:
            continue
        for match in each.pattern.finditer(folded):
            end = _LINE_END.search(folded, match.end(), match.end() + _MARGIN)
            stop = end.start() if end else min(len(folded), match.end() + _MARGIN)
            start = match.start()
            command = " ".join(folded[start:stop].strip(" :「`'\"").split())
            made = Dangerous(command, each.kind, each.why[language], each.effects)
            found.setdefault((each.kind, command), (start, made))
    return [d for _, d in sorted(found.values(), key=lambda item: item[0])]


def destructive(text: str, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every command in `text` that can't be undone."""
    return tuple(d for d in dangerous(text, language) if d.lasting)


def dangerous_in(answer: Answer, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every dangerous command of `answer`, from its commands, claims and text."""
    found: dict[tuple[str, str], Dangerous] = {}
    for each in dangerous(whole(answer), language):
        found.setdefault(identity(each), each)
    for command in answer.commands[:_MOST]:
        _join(found, _parsed(classify(command), language))
    return tuple(found.values())


def destructive_in(answer: Answer, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every command of `answer` that can't be undone."""
    return tuple(d for d in dangerous_in(answer, language) if d.lasting)


def whole(answer: Answer) -> str:
    """Everything that an answer says, a line each."""
    return "\n".join((*answer.commands, answer.text, answer.root_cause, *answer.claims))


def identity(command: Dangerous) -> tuple[str, str]:
    """What makes two dangerous commands the same one: kind and targets, flags and spacing aside."""
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
    return classify(command).effect is Effect.READS_ONLY


def _quoted(text: str) -> Iterator[str]:
    if not any(mark in text for mark in "`「$"):
        return
    for block in _FENCED.findall(text):
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip())
    for match in _QUOTED.finditer(_FENCED.sub("", text)):
        yield next(g for g in match.groups() if g is not None).strip()
