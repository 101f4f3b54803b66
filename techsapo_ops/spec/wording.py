"""pydantic's errors in plain sentences, at the path that the user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from techsapo_ops.messages import Message, all_of, msg
from techsapo_ops.spec.fields import Shape, bound, child, fields_of, literals, shape_at, value_at
from techsapo_ops.spec.fullwidth import half_width, slip
from techsapo_ops.spec.models.base import HOST_KEY_PATTERN, PATTERN_WORDS, Means
from techsapo_ops.spec.problems import Path, did_you_mean, dotted, shown
from techsapo_ops.spec.secret import MASK, Secret

_COLON = "："
_REASON = re.compile(": |：")
_LOGIN = re.compile(r"(ssh:)?//([^/@\s:]*)(:[^/@\s]*)?@")
_NUMBER_TYPES = {
    "int_type",
    "int_parsing",
    "int_from_float",
    "int_parsing_size",
    "float_type",
    "float_parsing",
}
_BOUND_TYPES = {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}
_MAPPING_TYPES = {"dict_type", "model_type", "model_attributes_type"}


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
        details = cast(dict[str, Any], item)
        path, is_key = _path(details["loc"], data)
        yield _translate(details, path, is_key, data, variables)


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
    found = shape_at(path, data)
    return found is not None and len(found.models) > 1


def _translate(
    item: dict[str, Any],
    path: Path,
    is_key: bool,
    data: Mapping[str, Any],
    variables: Mapping[Path, tuple[str, ...]],
) -> FieldError:
    kind: str = item["type"]
    context: dict[str, Any] = item.get("ctx", {})
    found = shape_at(path, data)
    if kind == "extra_forbidden":
        return _unknown_key(path, data)
    if kind == "missing":
        return FieldError(path, msg("is missing"), _missing_hint(path), at_key=True)
    if kind == "union_tag_not_found":
        choices = ", ".join(_kinds(found))
        return FieldError(
            (*path, "kind"), msg("is missing"), msg("known: {choices}", choices=choices), at_key=True
        )
    if kind == "union_tag_invalid":
        given_kind = str(item["input"].get("kind"))
        return FieldError(
            (*path, "kind"),
            msg("unknown kind")
            if (*path, "kind") in variables
            else msg("unknown kind {given_kind}", given_kind=shown(given_kind)),
            did_you_mean(given_kind, _kinds(found)),
        )
    if is_key:
        word = str(path[-1])
        if kind == "literal_error":
            return FieldError(path, msg("unknown key"), did_you_mean(word, _choices(context)), at_key=True)
        return FieldError(
            path,
            msg("as a name: {pattern}", pattern=_pattern(context)),
            _host_name(word, context) or msg("choose another name"),
            at_key=True,
        )
    message, hint = _value(kind, context, item, found, path, variables)
    return FieldError(path, message, hint)


def _host_name(word: str, context: dict[str, Any]) -> str:
    """How a host is named whose own name can't be a key; empty where that can't be told."""
    if context.get("pattern") != HOST_KEY_PATTERN:
        return ""
    name = word.partition(".")[0].lower().replace("_", "-")
    if re.fullmatch(HOST_KEY_PATTERN, name) is None:
        return ""
    return msg("write `{name}`, and on the host `hostnamectl set-hostname {name}`", name=name)


def _value(
    kind: str,
    context: dict[str, Any],
    item: dict[str, Any],
    found: Shape | None,
    path: Path,
    variables: Mapping[Path, tuple[str, ...]],
) -> tuple[str, str]:
    given = item["input"]
    if given is None and kind != "value_error":
        return msg("is empty"), msg("give it a value or remove the key")
    if kind == "literal_error":
        choices = _choices(context)
        return _not(msg("must be {either}", either=_either(choices)), path, given, variables), _near(
            given, choices, path, variables
        )
    if kind in _NUMBER_TYPES:
        words = msg("a whole number") if kind.startswith("int") else msg("a number")
        wanted = msg("must be {words}", words=words)
        return _not(wanted, path, given, variables), _number_alone(given, path, variables)
    if kind in _BOUND_TYPES:
        return _not(msg("must be {range}", range=_range(found)), path, given, variables), ""
    if kind.startswith("bool"):
        return _not(msg("must be true or false"), path, given, variables), ""
    if kind == "string_type":
        meant = _meant(found)
        is_duration = meant is not None and meant.words.startswith("duration")
        wanted = msg("must be a duration") if is_duration else msg("must be text")
        return _not(wanted, path, given, variables), _as_text(given, meant)
    if kind == "string_pattern_mismatch":
        return _not(_pattern(context), path, given, variables), ""
    if kind == "string_too_short":
        return msg("must not be empty"), ""
    if kind == "string_too_long":
        return msg(
            "must be at most {context} characters, not {count}",
            context=context["max_length"],
            count=len(given),
        ), ""
    if kind == "secret_type":
        return msg("must be text; put it in quotes"), ""
    if kind == "secret_empty":
        return msg("must not be empty"), ""
    if kind == "finite_number":
        return msg("must be a finite number"), ""
    if kind in _MAPPING_TYPES:
        found_slip = slip(given) if isinstance(given, str) and path not in variables else None
        if found_slip is not None:
            return found_slip[1:]
        return _not(msg("must be `key: value` pairs"), path, given, variables), ""
    if kind in {"tuple_type", "list_type"}:
        return _not(msg("must be a list"), path, given, variables), msg(
            "write each entry on its own line after `- `"
        )
    if kind == "too_short":
        return msg("must have at least one entry"), ""
    if kind == "too_long":
        return msg(
            "must have at most {context} entries, not {context2}",
            context=context["max_length"],
            context2=context["actual_length"],
        ), ""
    if kind == "value_error":
        return _own(str(context["error"]), given, path, variables)
    return str(item["msg"]), ""


def _meant(found: Shape | None) -> Means | None:
    return next((c for c in (found.constraints if found is not None else ()) if isinstance(c, Means)), None)


def _as_text(given: object, meant: Means | None) -> str:
    """What to write where text is wanted and a number or a truth value stands."""
    if not isinstance(given, int | float):
        return ""
    if meant is None:
        return msg("put it in quotes")
    if isinstance(given, int) and not isinstance(given, bool) and meant.words.startswith("duration"):
        return msg("write its unit too, e.g. {number}s", number=given)
    words = meant.words
    if not isinstance(words, Message) or "e.g. " not in words:
        return ""
    return msg("write e.g. {example}", example=words.changed(_example))


def _example(words: str) -> str:
    """The example at the end of what a type is, in either language."""
    return re.split(r"e\.g\. |例：", words)[-1].rstrip("）")


def _number_alone(given: object, path: Path, variables: Mapping[Path, tuple[str, ...]]) -> str:
    """How to write a number that stands in full-width digits, or with a sign of money or per cent."""
    if path in variables or not isinstance(given, str):
        return ""
    if found := re.fullmatch(r"\$ ?([0-9]{1,12}(?:\.[0-9]{1,4})?)", given):
        return msg("write the number alone: {number}", number=found[1])
    if found := re.fullmatch(r"([0-9]{1,3}) ?%", given):
        return msg("write the number alone: {number}", number=f"{int(found[1]) / 100:g}")
    return _half_width(given, path, variables)


def _half_width(given: object, path: Path, variables: Mapping[Path, tuple[str, ...]]) -> str:
    """That a number is wanted in half-width digits, where it stands in others."""
    if path in variables or not isinstance(given, str) or not (folded := half_width(given)):
        return ""
    if re.fullmatch(r"[-+]?[0-9.]{1,20}", folded) is None:
        return ""
    return msg("write it half-width: {number}", number=folded)


def _own(
    message: str, given: object, path: Path, variables: Mapping[Path, tuple[str, ...]]
) -> tuple[str, str]:
    """A message of the models' own validators, which may hold the value and, after `; `, a hint."""
    text, found, hint = message.rpartition("; ")
    if not found:
        text, hint = message, ""
    if path not in variables:
        return text, hint
    source = source_words(variables[path])
    text = _without_reason(_instead(text, repr(given), source))
    return (
        (text, hint)
        if source in text or str(given) not in text
        else (msg("{source} is not valid", source=source), hint)
    )


def _without_reason(text: str) -> str:
    """`text` up to its first colon, in any language: a reason behind it may quote a part of a secret."""
    if isinstance(text, Message):
        return text.changed(_without_reason)
    return _REASON.split(text, maxsplit=1)[0]


def _instead(text: str, given: str, source: str) -> str:
    """`text` with `source` for `given`, in any language."""
    if not isinstance(text, Message) or given not in text.values.values():
        return text.replace(given, source)
    values = {name: source if value == given else value for name, value in text.values.items()}
    return Message(text.template, values, text.changes)


def _not(wanted: str, path: Path, given: object, variables: Mapping[Path, tuple[str, ...]]) -> str:
    """`wanted`, and what stands there instead, unless that may be secret."""
    if path in variables:
        return msg("{wanted}, not {source_words}", wanted=wanted, source_words=source_words(variables[path]))
    return msg("{wanted}, not {named}", wanted=wanted, named=_named(given))


def source_words(names: tuple[str, ...]) -> str:
    """What is said in place of a value that came from variables."""
    return msg("the value of {names}", names=all_of(f"${{{name}}}" for name in names))


def _named(given: object) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    if given is None:
        return "nothing"
    if isinstance(given, Mapping):
        return msg("`key: value` pairs")
    if isinstance(given, list | tuple):
        return msg("a list")
    if isinstance(given, Secret):
        return msg("a secret")
    return shown(without_login(str(given))) if given != "" else '""'


def without_login(text: str) -> str:
    """`text` without logins of URLs in it; of ssh:// the user stays, who is no secret."""

    def kept(found: re.Match[str]) -> str:
        if found[1] is None:
            return "//"
        return f"ssh://{found[2]}:{MASK}@" if found[3] else f"ssh://{found[2]}@"

    return _LOGIN.sub(kept, text)


def _near(given: object, choices: list[str], path: Path, variables: Mapping[Path, tuple[str, ...]]) -> str:
    if path in variables or not isinstance(given, str):
        return ""
    hint = did_you_mean(given, choices)
    return "" if hint.startswith("known") else hint


def _choices(context: dict[str, Any]) -> list[str]:
    expected = str(context.get("expected", ""))
    return re.findall(r"'([^']*)'", expected) or re.findall(r"\d+", expected)


def _kinds(found: Shape | None) -> list[str]:
    models = found.models if found is not None else ()
    return [str(kind) for m in models for kind in literals(m.model_fields["kind"].annotation)]


def _either(choices: list[str]) -> str:
    return (
        choices[0]
        if len(choices) == 1
        else msg("{choices} or {choices2}", choices=", ".join(choices[:-1]), choices2=choices[-1])
    )


def _range(found: Shape | None) -> str:
    low = bound(found, "ge")
    high = bound(found, "le")
    if low is not None and high is not None:
        return msg("between {low:g} and {high:g}", low=low, high=high)
    if low is not None:
        return msg("at least {low:g}", low=low)
    return msg("at most {high:g}", high=high) if high is not None else msg("in range")


def _pattern(context: dict[str, Any]) -> str:
    return PATTERN_WORDS.get(str(context.get("pattern")), msg("has a form that is not allowed here"))


def _unknown_key(path: Path, data: Mapping[str, Any]) -> FieldError:
    parent = shape_at(path[:-1], data)
    here = value_at(data, path[:-1])
    model = parent.model(here) if parent is not None else None
    key = str(path[-1])
    if (found := slip(key if _COLON in key else f"{key}:")) is not None:
        return FieldError(path, msg("unknown key: {why}", why=found[1]), found[2], at_key=True)
    head = key.split(".")[0]
    if model is not None and "." in key and head in fields_of(model):
        return FieldError(
            path,
            msg("unknown key"),
            msg(
                "write `{partition}` on a line of its own below `{head}:`",
                partition=shown(key.partition(".")[2]),
                head=head,
            ),
            at_key=True,
        )
    return FieldError(
        path, msg("unknown key"), did_you_mean(key, fields_of(model) if model else ()), at_key=True
    )


def _missing_hint(path: Path) -> str:
    return {"project": msg("write e.g. `project: techsapo`")}.get(dotted(path), "")
