"""What one command does: dangerous by its arguments, reading by the list; unwrapped if it runs another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from techsapo_ops.catalogue.commands import dangers_of, reading
from techsapo_ops.wallbounce.classifier.embedded import embedded, written_paths
from techsapo_ops.wallbounce.classifier.judgement import READS, UNKNOWN, Judgement, Word, hazardous
from techsapo_ops.wallbounce.classifier.options import NotAllowed, match
from techsapo_ops.wallbounce.classifier.values import judge_value

DEEPEST = 8
"""Commands within commands that are unwrapped."""

_SYSTEM_FOLDER = re.compile(r"/(?:usr/(?:local/)?)?s?bin/")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=")
SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"])
GUARDS = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|sudoers(?:\.d/.*)?|pam\.d/.*|ssh/.*|ld\.so\.preload)\Z|.*authorized_keys\Z"
)
SYSTEM = re.compile(
    r"/(?:etc|usr|s?bin|lib(?:64)?|boot|var|opt|srv|dev/(?:[shv]d|nvme|xvd|mapper|disk|md|mem))"
)


@dataclass(frozen=True, slots=True)
class Inner:
    """How a command within a command is judged, and how deep within."""

    shell: Callable[[str, int], Judgement]
    depth: int = 0

    def text(self, text: str) -> Judgement:
        """A line of shell within a command."""
        return self.shell(text, self.depth + 1) if self.depth < DEEPEST else UNKNOWN

    def deeper(self) -> Inner:
        """For a command behind another."""
        return Inner(self.shell, self.depth + 1)


def judge_command(words: Sequence[Word], inner: Inner) -> Judgement:
    """What the command of these words does."""
    if not words or inner.depth > DEEPEST:
        return UNKNOWN
    name = words[0].text
    if not words[0].fixed or not name:
        return Judgement(False, commands=(tuple(words),))
    base = name.rsplit("/", 1)[-1]
    known = base == name or bool(_SYSTEM_FOLDER.fullmatch(name[: -len(base)]))
    parts = [_dangerous(base, words), *_written(base, words)]
    allowed = reading().commands.get(base) if known else None
    if allowed is None:
        parts.append(UNKNOWN)
    elif (
        len(words) == 2
        and words[1].fixed
        and words[1].text in ("--help", "--version")
        and base not in reading().wrappers
    ):
        pass
    else:
        parts.append(_called(words[1:], base, inner))
    parts += [inner.text(code).unknown() for code in embedded(base, [w.text for w in words[1:]])]
    judged = Judgement.of(parts)
    if base in reading().wrappers and not judged.reads and not judged.hazards:
        judged = Judgement.of([judged, *_within(words, inner)])
    return Judgement(judged.reads, judged.hazards, (tuple(words), *judged.commands))


def line_of(words: Sequence[Word]) -> str:
    """The command as it may be shown."""
    return " ".join(w.text for w in words)


def _called(arguments: Sequence[Word], base: str, inner: Inner) -> Judgement:
    allowed = reading().commands[base]
    if base == "tar" and arguments and arguments[0].fixed and arguments[0].text.isalpha():
        arguments = (Word(f"-{arguments[0].text}"), *arguments[1:])  # the old way, without a dash
    try:
        call = match(arguments, allowed)
    except NotAllowed:
        return UNKNOWN
    return Judgement.of(_value(kind, words, inner) for kind, words in call.values)


def _value(kind: str, words: Sequence[Word], inner: Inner) -> Judgement:
    if kind == "command":
        return _wrapped(words, inner)
    if kind == "xargs":
        put_in = [Word(w.text, w.fixed and "{}" not in w.text) for w in words]
        return _wrapped([*put_in, Word("", False)], inner) if words else READS
    if kind == "shell":
        if not all(w.fixed for w in words):
            return Judgement.of(_within(words, inner), reads=False)
        return inner.text(line_of(words))
    return judge_value(kind, words)


def _wrapped(words: Sequence[Word], inner: Inner) -> Judgement:
    """A command behind another, with variables set in front of it."""
    place, safe = 0, True
    while place < len(words) and (found := _ASSIGNMENT.match(words[place].text)):
        safe = safe and words[place].fixed and reading().may_set(found[1])
        place += 1
    if place == len(words):
        return READS if safe else UNKNOWN
    judged = judge_command(words[place:], inner.deeper())
    return judged if safe else judged.unknown()


def _dangerous(base: str, words: Sequence[Word]) -> Judgement:
    arguments = f" {' '.join(w.text for w in words[1:])} "
    found = [
        hazardous(d.kind, line_of(words)) for d, pattern in dangers_of(base) if pattern.search(arguments)
    ]
    return Judgement.of(found)


def _written(base: str, words: Sequence[Word]) -> list[Judgement]:
    """Files that a command writes over by its options or operands."""
    appends = base == "tee" and any(w.text in ("-a", "--append") for w in words[1:])
    paths = written_paths(base, [w.text for w in words[1:]])
    return [written(path, line_of(words), appends=appends) for path in paths]


def written(path: str, command: str, *, appends: bool) -> Judgement:
    """What it means that a file is written."""
    parts = []
    if GUARDS.match(path):
        parts.append(hazardous("guard_files", command))
    if not appends and SYSTEM.match(path):
        parts.append(hazardous("overwrite_file", command))
    return Judgement.of(parts, reads=False)


def _within(words: Sequence[Word], inner: Inner) -> list[Judgement]:
    """The dangers of a command somewhere behind a wrapper whose own options are not known."""
    found = []
    for place, word in enumerate(words[1:], 1):
        if not word.fixed or word.text.startswith("-"):
            continue
        if " " in word.text:
            found.append(inner.text(word.text).unknown())
        elif dangers_of(word.text.rsplit("/", 1)[-1]) or word.text in reading().wrappers:
            found.append(_dangerous(word.text.rsplit("/", 1)[-1], words[place:]).unknown())
    return found
