"""Which commands an answer names, and which dangers are recognised in it. The list is never complete."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from techsapo_ops.catalogue.dangers import Danger, Effect, Sign, signs
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.question import Language, fold

_QUOTED = re.compile(
    r"`([^`\n]{2,200})`|「([^「」\n]{2,200})」|^[ \t]{0,8}\$[ \t]+(\S[^\n]{1,200})$", re.MULTILINE
)
_FENCED = re.compile(r"```[^\n`]{0,40}\n(.*?)```", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*|>+|\(\)")
_SHOWN_END = re.compile(r"[\n;|`」。]|&&|\s(?=[\u3041-\u309f])")
_COMMAND_END = re.compile(r"[\n;|`」。]|&&|\s&\s|\s(?=[\u3041-\u309f])")
"""A Japanese particle after a blank goes on with the sentence."""
_COMMAND_START = re.compile(r"[\n;&(){}`「」『』]|\|(?=\s)|(?<=\s)\|")
_NAME_END = re.compile(r"(?<=>)|[\s`」』'\";|&(){},.。、]|\Z")
_FOLDER = re.compile(r"(?<!\S)[./~]\S*/\Z")
_MARGIN = 160
"""Characters of a command that are shown after the part that was recognised."""
_BEFORE = 120
"""Characters before a word in which its command begins."""
_WORDS_BEFORE = 16
"""Words before a word among which its command begins."""
_ARGUMENTS = 400
"""Characters of a command's arguments that are searched."""
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
    places = _Places.of(folded)
    table = signs()
    dangers: dict[tuple[str, str], Dangerous] = {}
    ends: dict[str, int] = {}
    for word in _WORD.finditer(folded):
        name = word[0].casefold()
        here = table.get(name) or table.get(name.rpartition(".")[2])
        if here is not None:
            for danger, recognised in _at(word, here, places):
                if word.start() < ends.get(danger.kind, 0):
                    continue  # within a command that is marked so
                end = _SHOWN_END.search(folded, recognised, recognised + _MARGIN)
                ends[danger.kind] = stop = end.start() if end else recognised + _MARGIN
                command = " ".join(folded[word.start() : stop].strip(" :「`'\"").split())
                made = Dangerous(command, danger.kind, danger.why[language], danger.effects)
                dangers.setdefault(identity(made), made)
    return tuple(dangers.values())


@dataclass(frozen=True, slots=True)
class _Places:
    """Where in a text commands begin and end, so that no word searches for it again."""

    text: str
    separators: Sequence[int]
    """The end of each: a command may begin there."""
    ends: Sequence[int]
    within: Sequence[int]
    """Where a command begins within the arguments of another."""

    @classmethod
    def of(cls, folded: str) -> _Places:
        """Those of a folded text."""
        return cls(
            folded,
            [m.end() for m in _COMMAND_START.finditer(folded)],
            [m.start() for m in _COMMAND_END.finditer(folded)],
            [m.start() for m in _BEGINS_NEXT.finditer(folded)],
        )

    def before(self, place: int) -> tuple[str, bool]:
        """What stands before `place` in its command, and whether that is all of it."""
        last = bisect_right(self.separators, place)
        start = self.separators[last - 1] if last else 0
        return self.text[max(start, place - _BEFORE) : place], start >= place - _BEFORE

    def arguments(self, place: int) -> str:
        """The arguments of a command whose name ends at `place`, as they stand in the text."""
        stop = place + _ARGUMENTS
        for places, number in ((self.ends, 0), (self.within, _COMMANDS_WITHIN)):
            number += bisect_left(places, place)
            stop = min(stop, places[number]) if number < len(places) else stop
        return self.text[place:stop]


def _at(word: re.Match[str], here: Sequence[Sign], places: _Places) -> Iterator[tuple[Danger, int]]:
    """The dangers that begin with `word`, one for the same effects, each with the end of its sign."""
    arguments = _arguments(places, word) if any(s.starts_command for s in here) else None
    seen: set[tuple[Effect, ...]] = set()
    for sign in here:
        if sign.danger.effects in seen:
            continue
        if not sign.starts_command:
            match = sign.pattern.match(places.text, word.end())
            end = match.end() if match else None
        else:
            end = word.end() if arguments and sign.pattern.search(arguments) else None
        if end is not None:
            seen.add(sign.danger.effects)
            yield sign.danger, end


def _arguments(places: _Places, word: re.Match[str]) -> str | None:
    """The arguments of the command that begins at `word`, a blank around each; None where none begins."""
    if not (_NAME_END.match(places.text, word.end()) and _starts_command(places, word)):
        return None
    words = places.arguments(word.end()).replace("'", "").replace('"', "").split()
    return f" {' '.join(words)} "


def _starts_command(places: _Places, word: re.Match[str]) -> bool:
    """Whether a command begins at `word`: nothing is before it, or only what runs another command."""
    if word[0] != word[0].lower():
        return False  # a sentence
    before, begins = places.before(word.start())
    runs, own = False, 0
    words = _FOLDER.sub("", before).split()
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


def dangerous_in(answer: Answer, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every dangerous command that is recognised in the commands, claims and text of `answer`."""
    return _dangerous_once(whole(answer), language)


_dangerous_once = lru_cache(16)(dangerous)
"""An answer is looked through at each step of an analysis; its claims, one by one, would push it out."""


def destructive_in(answer: Answer, language: Language = "en") -> tuple[Dangerous, ...]:
    """Every command that is recognised in `answer` and can't be undone."""
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
    commands = dict.fromkeys(_quoted(answer.text))
    return tuple(c for c in commands if re.match(r"[a-zA-Z./]", c))


def _quoted(text: str) -> Iterator[str]:
    if not any(mark in text for mark in "`「$"):
        return
    for block in _FENCED.findall(text):
        yield from (line.strip().removeprefix("$ ") for line in block.splitlines() if line.strip())
    for match in _QUOTED.finditer(_FENCED.sub("", text)):
        yield next(g for g in match.groups() if g is not None).strip()
