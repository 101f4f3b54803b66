"""Whether the words of a command are among those with which it only reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from techsapo_ops.catalogue.commands import Allowed
from techsapo_ops.wallbounce.classifier.judgement import Word

_NUMBER = re.compile(r"-\d+\Z")
_REST = frozenset({"command", "shell", "xargs", "keystore"})
"""Kinds of operands that take all that follows; with one, no option is required."""


class NotAllowed(Exception):
    """Some word is not known to be harmless here."""


@dataclass(slots=True)
class Call:
    """A call that is allowed as far as options go, with the values that are still to be judged."""

    values: list[tuple[str, tuple[Word, ...]]] = field(default_factory=list)


def match(words: Sequence[Word], allowed: Allowed) -> Call:
    """The call of a command with `words` for arguments; NotAllowed where one of them is not listed."""
    return _Reader(words, allowed).read()


class _Reader:
    def __init__(self, words: Sequence[Word], allowed: Allowed) -> None:
        self.words, self.allowed = words, allowed
        self.place = self.operands = 0
        self.ended = self.below = False
        self.seen: set[str] = set()
        self.call = Call()

    def read(self) -> Call:
        while self.place < len(self.words):
            word = self.words[self.place]
            if not self.ended and word.fixed and word.text == "--":
                self.ended, self.place = True, self.place + 1
            elif (
                not self.ended
                and word.fixed
                and len(word.text) > 1
                and word.text[0] in "-+"
                and self._option(word)
            ) or (self.allowed.subcommands and not self.below and self._descend(word)):
                continue
            else:
                self._operand(word)
        self._complete()
        return self.call

    def _complete(self) -> None:
        allowed = self.allowed
        runs = any(kind in _REST for kind, _ in self.call.values)
        if allowed.requires and not allowed.requires & self.seen and not runs:
            raise NotAllowed
        if self.operands < allowed.least:
            raise NotAllowed
        if allowed.subcommands and not allowed.bare and not allowed.operands and not allowed.requires:
            raise NotAllowed

    def _descend(self, word: Word) -> bool:
        below = self.allowed.subcommand(word.text) if word.fixed else None
        if below is None:
            if self.allowed.operands:
                self.below = True
                return False
            raise NotAllowed
        self.allowed = below.under(self.allowed)
        self.place += 1
        return True

    def _operand(self, word: Word) -> None:
        kind = self._kind()
        if kind in _REST:
            rest = tuple(self.words[self.place :])
            self.call.values.append((kind, rest))
            self.operands += 1
            self.place = len(self.words)
            return
        if not word.fixed and not (self.ended or word.operand or self.allowed.opaque):
            raise NotAllowed
        if word.fixed and not self.ended and len(word.text) > 1 and word.text[0] == "-":
            raise NotAllowed
        self._value(kind, (word,))
        self.operands += 1
        self.place += 1

    def _kind(self) -> str:
        kinds = self.allowed.operands
        if self.operands < len(kinds):
            return kinds[self.operands].removesuffix("*")
        if kinds and kinds[-1].endswith("*"):
            return kinds[-1].removesuffix("*")
        raise NotAllowed

    def _option(self, word: Word) -> bool:
        """Read one word of options. False: it is a +word that is an operand."""
        text, options = word.text, self.allowed.options
        name, attached, value = text.partition("=")
        if text in options and options[text] is None:
            self._seen(text)
        elif attached and options.get(name) is not None and name.startswith(("--", "+")):
            self._take(name, options[name] or "", value)
        elif text in options:
            self._next(text, options[text] or "")
            return True
        elif text[0] == "+":
            return False
        elif self.allowed.numbers and _NUMBER.match(text):
            pass
        elif text.startswith("--") or self.allowed.single:
            if not (self.allowed.single and self._joined(text)):
                raise NotAllowed
        else:
            return self._cluster(text)
        self.place += 1
        return True

    def _joined(self, text: str) -> bool:
        """-name=value of commands whose long options have one dash."""
        name, attached, value = text.partition("=")
        takes = self.allowed.options.get(name)
        if not attached or takes is None:
            return False
        self._take(name, takes, value)
        return True

    def _cluster(self, text: str) -> bool:
        for at, letter in enumerate(text[1:], 1):
            name = f"-{letter}"
            if name not in self.allowed.options:
                if self.allowed.numbers and text[at:].isdigit():
                    break
                raise NotAllowed
            takes = self.allowed.options[name]
            if takes is None:
                self._seen(name)
                continue
            if text[at + 1 :]:
                self._take(name, takes, text[at + 1 :])
                break
            self._next(name, takes)
            return True
        self.place += 1
        return True

    def _take(self, name: str, kind: str, value: str) -> None:
        self._seen(name)
        self._value(kind.removeprefix("?"), (Word(value),))

    def _next(self, name: str, kind: str) -> None:
        """An option whose value is the next word, which must not look like an option itself."""
        self._seen(name)
        self.place += 1
        if kind.startswith("?"):
            return
        if kind == "exec":
            self._executed()
            return
        if self.place >= len(self.words):
            raise NotAllowed
        word = self.words[self.place]
        if word.fixed and len(word.text) > 1 and word.text[0] == "-" and not _NUMBER.match(word.text):
            raise NotAllowed
        if not word.fixed and not (word.operand or self.allowed.opaque):
            raise NotAllowed
        self._value(kind, (word,))
        self.place += 1

    def _executed(self) -> None:
        """The command of find's -exec, up to ; or +."""
        rest = self.words[self.place :]
        end = next((i for i, w in enumerate(rest) if w.fixed and w.text in (";", "+")), None)
        if not end:
            raise NotAllowed
        self.call.values.append(("command", tuple(_found(rest[:end]))))
        self.place += end + 1

    def _seen(self, name: str) -> None:
        self.seen.add(name)

    def _value(self, kind: str, words: tuple[Word, ...]) -> None:
        if "|" in kind:
            if not words[0].fixed or words[0].text.casefold() not in kind.casefold().split("|"):
                raise NotAllowed
        elif kind not in ("", "any"):
            self.call.values.append((kind, words))


def _found(words: Sequence[Word]) -> Iterator[Word]:
    """With {} as the path that find puts there: it begins as the search does, so it is no option."""
    for word in words:
        yield Word(word.text, False, word.text == "{}" or word.operand) if "{}" in word.text else word
