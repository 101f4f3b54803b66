"""Which commands an answer names, and which dangers are recognised in it. The list is never complete."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, compress
from typing import NamedTuple

from techsapo_ops.catalogue.dangers import Danger, Effect, Sign, plain_words, signs
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.question import KNOWLEDGE, Language, Passage, Question, fold

_QUOTED = re.compile(
    r"`([^`\n]{2,200})`|「([^「」\n]{2,200})」|^[ \t]{0,8}\$[ \t]+(\S[^\n]{1,200})$", re.MULTILINE
)
_FENCED = re.compile(r"```[^\n`]{0,40}\n(.*?)```", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*|>+|\(\)")
_RUN = re.compile(r"([A-Za-z_>(][A-Za-z0-9_.)>-]*)")
"""Words and what may join them; outside of runs there is no word."""
_LONGEST_RUN = 64
"""Characters of a run that is remembered."""
_SHOWN_END = re.compile(r"[\n;|`」。]|&&|\s(?=[\u3041-\u309f])")
# These two begin with one set of characters, since the regex engine is quick to find the next of a set.
_COMMAND_END = re.compile(r"[\n;|`」。&\s](?:(?<=[\n;|`」。])|(?<=&)&|(?<=\s)(?:&\s|(?=[\u3041-\u309f])))")
"""A Japanese particle after a blank goes on with the sentence."""
_COMMAND_START = re.compile(r"[\n;&(){}`「」『』|](?:(?<!\|)|(?=\s)|(?<=\s\|))")
_NAME_END = re.compile(r"(?<=>)|[\s`」』'\";|&(){},.。、]|\Z")
_MARGIN = 160
"""Characters of a command that are shown after the part that was recognised."""
_BEFORE = 120
"""Characters before a word in which its command begins."""
_WORDS_BEFORE = 16
"""Words before a word among which its command begins."""
_ARGUMENTS = 400
"""Characters of a command's arguments that are searched."""
_LONGEST_END = 3
"""Characters that are looked at of what ends a command: ` & `."""
_LASTING = frozenset({Effect.DESTRUCTIVE, Effect.RUNS_REMOTE_CODE})
"""What can't be undone: nor can what code from elsewhere has done."""

_PASSED = re.compile(r"\S*[#$%>]|\d{1,3}[.)]|[-*+!・•:]|true|[A-Za-z_]\w*=\S*")
"""Prompts, numbers of steps and variables: what stands in front of a command without being one."""
_NUMBER = re.compile(r"\d[\w.]*")
_RUNNER = re.compile(
    r"(?P<own>ssh|su|chroot|flock)|sudo|doas|pkexec|env|nohup|time|timeout|nice|ionice|chrt|taskset|stdbuf|setsid"
    r"|command|builtin|eval|watch|xargs|parallel|strace|ltrace|script|unshare|nsenter|systemd-run|busybox|runuser"
    r"|(?:ba|z|da|k|a|fi)?sh|[gm]?awk|perl|python3?|ruby|node|php|if|then|elif|else|while|until|do"
)
"""Commands that run others; some have a word of their own before it."""
_RUNS_NEXT = {"-exec": 0, "-execdir": 0, "-ok": 0, "-okdir": 0, "--": 0, "exec": 1}
"""Words behind which a command begins, whatever stands before them."""
_BEGINS_NEXT = re.compile(r"(?<=\s)(?:-exec(?:dir)?|-ok(?:dir)?|--|exec)(?=\s)")
_COMMANDS_WITHIN = 3
"""Commands that begin so within the arguments of one: more would be searched again and again."""


@dataclass(frozen=True, slots=True)
class Dangerous:
    """A dangerous command, as it stands in the answer: of which kind, what it does, and in a user's words."""

    command: str
    kind: str
    why: str
    effects: tuple[Effect, ...] = (Effect.DESTRUCTIVE,)

    @property
    def effect(self) -> Effect:
        """The worst of what it does."""
        return self.effects[0]

    @property
    def lasting(self) -> bool:
        """Whether it can't be undone."""
        return not _LASTING.isdisjoint(self.effects)


def dangerous(text: str, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every dangerous command that is recognised in `text`, each once, in the order of the text.

    One pass over its words, in time linear in its length. A warning against a command is found like the
    command: to mark too much is the safe side. What is not found is not safe.
    """
    folded = fold(text)
    places = _Places(folded)
    dangers: dict[tuple[str, str], Dangerous] = {}
    ends: dict[str, int] = {}
    for word in _telling_words(folded):
        for danger, recognised in _at(word, places):
            if word.start < ends.get(danger.kind, 0):
                continue  # within a command that is marked so
            end = _SHOWN_END.search(folded, recognised, recognised + _MARGIN)
            ends[danger.kind] = stop = end.start() if end else recognised + _MARGIN
            command = " ".join(folded[word.start : stop].strip(" :「`'\"").split())
            made = Dangerous(command, danger.kind, danger.why[language], danger.effects)
            dangers.setdefault(identity(made), made)
    return tuple(dangers.values())


class _Word(NamedTuple):
    """A word that begins some sign of danger, and where it stands."""

    start: int
    end: int
    names: bool
    """Whether it may be a command's name; with a capital letter it begins a sentence."""
    signs: tuple[Sign, ...]


def _telling_words(folded: str) -> Iterator[_Word]:
    """The words with which signs of danger begin, few of a text's."""
    parts = _RUN.split(folded)
    runs = parts[1::2]
    known = {run: _known(run) if len(run) <= _LONGEST_RUN else _within(run) for run in set(runs)}
    starts = [*accumulate(map(len, parts))][::2]
    for start, run in compress(zip(starts, runs, strict=False), map(known.__getitem__, runs)):
        for begin, end, names, here in known[run]:
            yield _Word(start + begin, start + end, names, here)


def _within(run: str) -> tuple[_Word, ...]:
    """The same of one run, by its own places."""
    table = signs()
    found = ((word, word[0].casefold()) for word in _WORD.finditer(run))
    here = ((word, table.get(name) or table.get(name.rpartition(".")[2])) for word, name in found)
    telling = ((word, each, any(s.starts_command for s in each)) for word, each in here if each is not None)
    return tuple(_Word(*w.span(), names and w[0] == w[0].lower(), each) for w, each, names in telling)


_known = lru_cache(4096)(_within)
"""Answers use the same words again and again."""


class _Places:
    """Where in a text commands begin, so that no word searches for it again, and where one ends: mostly that
    is near.
    """

    def __init__(self, folded: str) -> None:
        self.text = folded

    @cached_property
    def separators(self) -> Sequence[int]:
        """The end of each: a command may begin there."""
        return [m.end() for m in _COMMAND_START.finditer(self.text)]

    @cached_property
    def within(self) -> Sequence[int]:
        """Where a command begins within the arguments of another."""
        return [m.start() for m in _BEGINS_NEXT.finditer(self.text)]

    def before(self, place: int) -> tuple[str, bool]:
        """What stands before `place` in its command, and whether that is all of it."""
        last = bisect_right(self.separators, place)
        start = self.separators[last - 1] if last else 0
        return self.text[max(start, place - _BEFORE) : place], start >= place - _BEFORE

    def arguments(self, place: int) -> str:
        """The arguments of a command whose name ends at `place`, as they stand in the text."""
        number = bisect_left(self.within, place) + _COMMANDS_WITHIN
        stop = min([place + _ARGUMENTS, *self.within[number : number + 1]])
        end = _COMMAND_END.search(self.text, place, stop + _LONGEST_END)
        return self.text[place : min(stop, end.start()) if end else stop]


def _at(word: _Word, places: _Places) -> Iterator[tuple[Danger, int]]:
    """The dangers that begin with `word`, one for the same effects, each with the end of its sign."""
    arguments = _arguments(places, word) if word.names else None
    seen: set[tuple[Effect, ...]] = set()
    for sign in word.signs:
        if sign.danger.effects in seen:
            continue
        if not sign.starts_command:
            match = sign.pattern.match(places.text, word.end)
            end = match.end() if match else None
        else:
            end = word.end if arguments and sign.pattern.search(arguments) else None
        if end is not None:
            seen.add(sign.danger.effects)
            yield sign.danger, end


def _arguments(places: _Places, word: _Word) -> str | None:
    """The arguments of the command that begins at `word`, a blank around each; None where none begins."""
    if not (_NAME_END.match(places.text, word.end) and _starts_command(places, word.start)):
        return None
    words = places.arguments(word.end).replace("'", "").replace('"', "").split()
    return f" {' '.join(words)} "


def _starts_command(places: _Places, start: int) -> bool:
    """Whether a command begins at `start`: nothing is before it, or only what runs another command."""
    before, begins = places.before(start)
    runs, own = False, 0
    words = before.split()
    if before.endswith("/") and len(words[-1]) > 1 and words[-1][0] in "./~":
        words.pop()  # the folder that the command is in
    if len(words) > _WORDS_BEFORE:
        words, begins = words[-_WORDS_BEFORE:], False
    for each in words:
        does, more = _does(each)
        if does == "runs next":
            begins, runs, own = True, True, more
        elif does == "runs":
            runs, own = True, more
        elif does == "passed":
            continue
        elif runs and does == "option":
            own += more
        elif runs and does == "number":
            own = max(0, own - 1)
        elif own:
            own -= 1
        else:
            begins = False
            if _RUNS_NEXT.keys().isdisjoint(words):
                break
    return begins


@lru_cache(1024)
def _does(word: str) -> tuple[str, int]:
    """What a word before a command is, and how many words of its own it takes."""
    bare = word.strip("'\"")
    base = bare.rsplit("/", 1)[-1]
    if base in _RUNS_NEXT:
        return "runs next", _RUNS_NEXT[base]
    if runner := _RUNNER.fullmatch(base):
        return "runs", int(runner["own"] is not None)
    if not bare or _PASSED.fullmatch(bare):
        return "passed", 0
    if bare.startswith("-"):
        return "option", int("=" not in bare)
    return ("number" if _NUMBER.fullmatch(bare) else "other"), 0


def destructive(text: str, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every command that is recognised in `text` and can't be undone."""
    return tuple(d for d in dangerous(text, language) if d.lasting)


def asks_for_danger(question: Question) -> bool:
    """Whether `question` names a command that can't be undone, or asks for that in plain words.

    The team's own pages are left out: what an answer takes from them is looked at in the answer. Plain words
    are looked for only in what is asked: a log tells of much that is deleted.
    """
    parts = question.parts or (Passage("", question.text),)
    return any(
        destructive(part.text) or (not part.name and plain_words().search(fold(part.text)) is not None)
        for part in parts
        if part.name != KNOWLEDGE
    )


def dangerous_in(answer: Answer, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every dangerous command that is recognised in the commands, claims and text of `answer`."""
    return dangerous(whole(answer), language)


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
    commands = dict.fromkeys(_quoted(answer.text))
    return tuple(c for c in commands if re.match(r"[a-zA-Z./]", c))


def _quoted(text: str) -> Iterator[str]:
    if not any(mark in text for mark in "`「$"):
        return
    for block in _FENCED.findall(text):
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip())
    for match in _QUOTED.finditer(_FENCED.sub("", text)):
        yield next(g for g in match.groups() if g is not None).strip()
