"""What people are told: English words that keep what they were made of, to be said in another language.

`msg("no copy in {place} can be read", place=place)` is that sentence in English wherever a text is wanted: in
logs, JSON, records and tests. Whoever shows it to a person says it by the words of their language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from typing import SupportsIndex

Words = Callable[[str], str]
"""The template of a message in another language, or the same where there is none."""


_WIDE_MARKS = {": ": "：", "; ": "；"}


class Message(str):
    """A text for people; its value is the English one.

    What is added to it, cut off its ends or changed by `changed` leaves it a message. What is made of it by
    other means, as by an f-string, is a plain text and stays English.
    """

    __slots__ = ("changes", "template", "values")

    template: str
    values: Mapping[str, object]
    changes: tuple[Words, ...]

    def __new__(
        cls, template: str, values: Mapping[str, object] | None = None, changes: tuple[Words, ...] = ()
    ) -> Message:
        """`template` as str.format takes it, with `values`; `changes` are made to it in any language."""
        held = {} if values is None else {name: _kept(value) for name, value in values.items()}
        self = super().__new__(cls, _changed(template.format_map(held), changes))
        self.template, self.values, self.changes = template, held, changes
        return self

    def said(self, words: Words) -> str:
        """The text by `words`; in English where they do not fit, for a wrong word is better than none."""
        values = {name: said(value, words) for name, value in self.values.items()}
        try:
            text = words(self.template).format_map(values)
        except (LookupError, ValueError, TypeError):
            text = self.template.format_map(values)
        return _changed(text, self.changes)

    def changed(self, change: Words) -> Message:
        """The message whose text goes through `change`, in any language."""
        return Message(self.template, self.values, (*self.changes, change))

    def __str__(self) -> Message:
        return self

    def __add__(self, other: str) -> Message:
        return _joined("", (self, other))

    def __radd__(self, other: str) -> Message:
        return _joined("", (other, self))

    def strip(self, chars: str | None = None) -> Message:
        return self.changed(lambda text: text.strip(chars))

    def rstrip(self, chars: str | None = None) -> Message:
        return self.changed(lambda text: text.rstrip(chars))

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> Message:
        return self.changed(lambda text: text.replace(old, new, count))

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        """Its parts in any language; where another has no `sep`, or its wide form, all of it is the first."""
        if sep not in self:
            return self, "", ""
        return (
            self.changed(lambda text: text.partition(_as_in(text, sep))[0]),
            sep,
            self.changed(lambda text: text.partition(_as_in(text, sep))[2]),
        )

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        """Its parts in any language; where another has no `sep`, or its wide form, all of it is the first."""
        if sep not in self:
            return "", "", self
        return (
            self.changed(lambda text: text.rpartition(_as_in(text, sep))[0] or text),
            sep,
            self.changed(
                lambda text: text.rpartition(wide)[2] if (wide := _as_in(text, sep)) in text else ""
            ),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as the plain text: changes are functions."""
        return (str, ("".join(self),))


def msg(template: LiteralString, /, **values: object) -> str:
    """What a person is told: `template`, as str.format takes it, with `values`.

    Write the template as a literal: the catalogue of other languages is made from what stands there. A value
    that is a message itself is said in the same language. It is a `Message`, and as a text goes anywhere.
    """
    return Message(template, values)


def template(text: LiteralString) -> str:
    """The template of a `Message` that is made elsewhere, noted for the catalogue; no message itself."""
    return text


_SAID_MARKS = frozenset({template(", "), template("; ")})
"""What stands between parts and is another mark in Japanese."""


def joined(between: str, parts: Iterable[str]) -> str:
    """`parts` with `between` in between, each said in the same language. A `Message`."""
    return _joined(between, parts)


def all_of(parts: Iterable[str]) -> str:
    """`parts`, one or more, as what is meant together: `a and b`. A `Message`."""
    return reduce(lambda before, last: msg("{before} and {last}", before=before, last=last), parts)


def _as_in(text: str, sep: str) -> str:
    """How `text` has `sep`: Japanese writes a colon as wide as its characters."""
    wide = _WIDE_MARKS.get(sep)
    return sep if wide is None or sep in text else wide


def _joined(between: str, parts: Iterable[str]) -> Message:
    values: dict[str, object] = {f"part{number}": part for number, part in enumerate(parts)}
    glue = between.replace("{", "{{").replace("}", "}}")
    if between in _SAID_MARKS and len(values) > 1:
        return Message(
            "{between}".join(f"{{{name}}}" for name in values), {**values, "between": Message(between)}
        )
    return Message(glue.join(f"{{{name}}}" for name in values), values)


def said(value: object, words: Words) -> object:
    """`value` by `words` if it is a message, and itself if it is anything else."""
    return _Wide(value.said(words)) if isinstance(value, Message) else value


def placeholders(template: str) -> set[tuple[str, str]]:
    """The names in a template, each with how its value is written. Raises ValueError for what is none."""
    from string import Formatter

    return {(name, spec or "") for _, name, spec, _ in Formatter().parse(template) if name is not None}


def _kept(value: object) -> object:
    """A text in the place of what is written as one anyway: an exception, say, would be held with it."""
    return str(value) if type(value).__format__ is object.__format__ else value


def _changed(text: str, changes: tuple[Words, ...]) -> str:
    for change in changes:
        text = change(text)
    return text


class _Wide(str):
    """A text that is padded by the cells that it takes, of which a Japanese character takes two."""

    __slots__ = ()

    def __format__(self, spec: str, /) -> str:
        width = spec.lstrip("<>^").rstrip("s")
        if not width.isdecimal():
            return format("".join(self), spec)
        from unicodedata import east_asian_width

        more = sum(1 for character in self if east_asian_width(character) in "WF")
        return format("".join(self), spec.replace(width, str(max(0, int(width) - more))))
