"""pydantic's errors in plain sentences, at the path that the user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from techsapo_ops.masking.fields import without_logins
from techsapo_ops.messages import Message, all_of, msg
from techsapo_ops.spec.fields import Shape, bound, child, fields_of, keys_of, literals, shape_at, value_at
from techsapo_ops.spec.models.base import HOST_KEY_PATTERN, PATTERN_WORDS, Means
from techsapo_ops.spec.problems import Path, did_you_mean, half_width, shown, slip
from techsapo_ops.spec.secret import Secret

_COLON = "："
_SAID = {
    "string_too_short": msg("must not be empty"),
    "secret_empty": msg("must not be empty"),
    "secret_type": msg("must be text; put the value in quotes"),
    "finite_number": msg("must be a finite number"),
    "too_short": msg("must have at least one entry"),
}
"""Errors that need no more words than these."""
_WANTED = {
    "bool": msg("must be true or false"),
    "dict": msg("must be `key: value` pairs"),
    "model": msg("must be `key: value` pairs"),
    "tuple": msg("must be a list"),
    "list": msg("must be a list"),
    "int": msg("must be a whole number"),
    "float": msg("must be a number"),
}
"""What is wanted, by the first word of pydantic's name of an error."""
_LISTS = {"page", "critical", "warning", "info", "watchdog", "next"}
"""Where receivers are named below `notifications`."""
_BOUNDS = {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}


@dataclass(frozen=True, slots=True)
class FieldError:
    """A value that the model refuses; `at_key` when its key, or the lack of one, is the matter."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False


def field_errors(
    error: ValidationError, data: Mapping[str, Any], variables: Mapping[Path, tuple[str, ...]]
) -> Iterator[FieldError]:
    """Translate `error` over `data`. Values that came from `variables` are never shown."""
    for item in error.errors(include_url=False):
        path, is_key = _path(item["loc"], data)
        refused = _Refused(item["type"], item.get("ctx", {}), item["input"], shape_at(path, data))
        if item["type"] == "extra_forbidden":
            yield _unknown_key(path, data)
        elif is_key:
            yield refused.key(path)
        elif item["type"] == "union_tag_invalid":
            kind = str(item["input"].get("kind"))
            secret = (*path, "kind") in variables
            unknown = msg("unknown kind") if secret else msg("unknown kind {kind}", kind=shown(kind))
            yield FieldError((*path, "kind"), unknown, did_you_mean(kind, refused.kinds()))
        elif item["type"] == "union_tag_not_found":
            hint = msg("known: {choices}", choices=", ".join(refused.kinds()))
            yield FieldError((*path, "kind"), msg("is missing"), hint, at_key=True)
        elif item["type"] == "missing":
            hint = msg("write e.g. `project: techsapo`") if path == ("project",) else ""
            yield FieldError(path, msg("is missing"), hint, at_key=True)
        else:
            message, hint = refused.value(item["msg"], variables.get(path))
            yield FieldError(path, message, hint or refused.instead(path))


def _path(location: tuple[str | int, ...], data: object) -> tuple[Path, bool]:
    """The location without pydantic's own marks: the tags of unions and `[key]`."""
    path: list[str | int] = []
    is_key = bool(location) and location[-1] == "[key]"
    here = data
    for part in location[:-1] if is_key else location:
        if isinstance(here, Mapping) and part == here.get("kind") and _chosen_by_kind(tuple(path), data):
            continue
        path.append(part)
        here = child(here, part)
    return tuple(path), is_key


def _chosen_by_kind(path: Path, data: object) -> bool:
    shape = shape_at(path, data)
    return shape is not None and len(shape.models) > 1


@dataclass(frozen=True, slots=True)
class _Refused:
    """One of pydantic's errors: its name and context, what was given, and what stands there in the model."""

    error: str
    context: Mapping[str, Any]
    given: Any
    shape: Shape | None

    def key(self, path: Path) -> FieldError:
        """Of a name that a mapping can't have."""
        word = str(path[-1])
        if self.error == "literal_error":
            return FieldError(path, msg("unknown key"), did_you_mean(word, self.choices()), at_key=True)
        hint = msg("choose another name")
        name = word.partition(".")[0].lower().replace("_", "-")
        if self.context.get("pattern") == HOST_KEY_PATTERN and re.fullmatch(HOST_KEY_PATTERN, name):
            hint = msg("write `{name}`, and run `hostnamectl set-hostname {name}` on that host", name=name)
        return FieldError(path, msg("the name {pattern}", pattern=self.pattern()), hint, at_key=True)

    def value(self, said: str, names: tuple[str, ...] | None) -> tuple[str, str]:
        """What is wrong with a value, and what to try; `names` are the variables that it came from."""
        if self.error == "value_error":
            return own_words(str(self.context["error"]), self.given, names)
        if self.given is None:
            return msg("is empty"), msg("write a value, or remove the key")
        if self.error == "too_short" and isinstance(self.given, str):
            return msg("must not be empty"), ""
        if self.error in _SAID:
            return _SAID[self.error], ""
        if self.error in {"string_too_long", "too_long"}:
            most, count = self.context["max_length"], self.context.get("actual_length", len(self.given))
            if self.error == "too_long":
                return msg("must have at most {most} entries, not {count}", most=most, count=count), ""
            return msg("must be at most {most} characters, not {count}", most=most, count=count), ""
        wanted = self.wanted()
        if not wanted:
            return said, ""
        if names is not None:  # a hint may hold the value
            return msg("{wanted}, not {named}", wanted=wanted, named=source_words(names)), ""
        if "pairs" in wanted and isinstance(self.given, str) and (problem := slip(self.given)) is not None:
            return problem[1:]
        return msg("{wanted}, not {named}", wanted=wanted, named=_named(self.given)), self.hint()

    def wanted(self) -> str:
        """What is to stand there; empty for an error that is not known."""
        if self.error == "literal_error":
            *first, last = self.choices()
            either = msg("{first} or {last}", first=", ".join(first), last=last) if first else last
            return msg("must be {either}", either=either)
        if self.error in _BOUNDS:
            return msg("must be {range}", range=_range(self.shape))
        if self.error == "string_type":
            return msg("must be a duration") if self.is_duration() else msg("must be text")
        if self.error == "string_pattern_mismatch":
            return self.pattern()
        return _WANTED.get(self.error.partition("_")[0], "")

    def hint(self) -> str:
        """What to try where a value of another type stands."""
        if self.error == "literal_error" and isinstance(self.given, str):
            hint = did_you_mean(self.given, self.choices())
            return "" if hint.startswith("known") else hint
        if self.error in {"tuple_type", "list_type"}:
            return msg("write each entry on its own line after `- `")
        if self.error.startswith(("int_", "float_")) and isinstance(self.given, str):
            return _number_alone(self.given)
        return self.as_text() if self.error == "string_type" else ""

    def instead(self, path: Path) -> str:
        """What to write in place of a section, or of a switch, where a plain value belongs."""
        exporter = path[:2] == ("monitoring", "exporters") and len(path) > 2
        if exporter and isinstance(self.given, Mapping | bool):
            return msg("write a port, or null to turn the exporter off")
        if not isinstance(self.given, Mapping):
            return ""
        if self.is_duration():
            return msg("write one duration, e.g. 300ms")
        listed = path[:1] == ("notifications",) and len(path) > 2 and path[1] in _LISTS
        if listed and isinstance(path[-1], int) and path[-2] != "next":
            return msg(
                "define the receiver under a name in notifications.receivers, and write that name here"
            )
        return ""

    def as_text(self) -> str:
        """What to write where text is wanted and a number or a truth value stands."""
        if not isinstance(self.given, int | float):
            return ""
        means = self.means()
        if means is None:
            return msg("put the value in quotes")
        if self.is_duration() and isinstance(self.given, int) and not isinstance(self.given, bool):
            return msg("write the unit too, e.g. {number}s", number=self.given)
        if not isinstance(means.words, Message) or "e.g. " not in means.words:
            return ""
        return msg("write e.g. {example}", example=means.words.changed(_example))

    def means(self) -> Means | None:
        constraints = self.shape.constraints if self.shape is not None else ()
        return next((c for c in constraints if isinstance(c, Means)), None)

    def is_duration(self) -> bool:
        means = self.means()
        return means is not None and means.words.startswith("duration")

    def choices(self) -> list[str]:
        expected = str(self.context.get("expected", ""))
        return re.findall(r"'([^']*)'", expected) or re.findall(r"\d+", expected)

    def kinds(self) -> list[str]:
        models = self.shape.models if self.shape is not None else ()
        return [str(kind) for m in models for kind in literals(m.model_fields["kind"].annotation)]

    def pattern(self) -> str:
        words = msg("has a format that is not allowed here")
        return PATTERN_WORDS.get(str(self.context.get("pattern")), words)


def _example(words: str) -> str:
    """The example at the end of what a type is, in either language."""
    return re.split(r"e\.g\. |例：", words)[-1].rstrip("）")


def _number_alone(given: str) -> str:
    """How to write a number that stands in full-width digits, or with a sign of money or per cent."""
    if number := re.fullmatch(r"\$ ?([0-9]{1,12}(?:\.[0-9]{1,4})?)", given):
        return msg("write only the number: {number}", number=number[1])
    if number := re.fullmatch(r"([0-9]{1,3}) ?%", given):
        return msg("write only the number: {number}", number=f"{int(number[1]) / 100:g}")
    if re.fullmatch(r"[-+]?[0-9.]{1,20}", folded := half_width(given)):
        return msg("write the number half-width: {number}", number=folded)
    return ""


def own_words(message: str, given: object, names: tuple[str, ...] | None) -> tuple[str, str]:
    """A message of the models' own validators, which may hold the value and, after `; `, a hint.

    Of a value that came from the variables `names` only the hint stays: a reason may quote a part of a
    secret.
    """
    text, separator, hint = message.rpartition("; ")
    if not separator:
        text, hint = message, ""
    if names is None:
        return text, hint
    return msg("{source} is not valid", source=source_words(names)), "" if str(given) in hint else hint


def source_words(names: tuple[str, ...]) -> str:
    """What is said in place of a value that came from variables."""
    return msg("the value of {names}", names=all_of(f"${{{name}}}" for name in names))


def _named(given: object) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        return msg("`key: value` pairs")
    if isinstance(given, list | tuple):
        return msg("a list")
    if isinstance(given, Secret):
        return msg("a secret")
    return shown(without_logins(str(given))) if given != "" else '""'


def _range(shape: Shape | None) -> str:
    low, high = bound(shape, "ge"), bound(shape, "le")
    if low is not None and high is not None:
        return msg("between {low:g} and {high:g}", low=low, high=high)
    if low is not None:
        return msg("at least {low:g}", low=low)
    return msg("at most {high:g}", high=high) if high is not None else msg("in range")


def _unknown_key(path: Path, data: Mapping[str, Any]) -> FieldError:
    parent = shape_at(path[:-1], data)
    model = parent.model(value_at(data, path[:-1])) if parent is not None else None
    known = fields_of(model) if model is not None else {}
    key = str(path[-1])
    head, dot, rest = key.partition(".")
    if (problem := slip(key if _COLON in key else f"{key}:")) is not None:
        return FieldError(path, msg("unknown key: {why}", why=problem[1]), problem[2], at_key=True)
    if dot and head in known:
        hint = msg("write `{rest}` on a line of its own below `{head}:`", rest=shown(rest), head=head)
        return FieldError(path, msg("unknown key"), hint, at_key=True)
    return FieldError(
        path, msg("unknown key"), did_you_mean(key, keys_of(model) if model is not None else ()), at_key=True
    )
