"""The spec explained: help from the models' docstrings, and a JSON Schema for editors.

pydantic can attach attribute docstrings to fields itself, but reads the sources at each start to do so;
here they are read when somebody asks.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, msg
from techsapo_ops.spec.fields import (
    ROOT,
    Section,
    Shape,
    bound,
    fields_of,
    key_of,
    keys_of,
    literals,
    secrets_in,
    sections_of,
    shape,
)
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import Means
from techsapo_ops.spec.problems import did_you_mean
from techsapo_ops.spec.secret import Secret

_KIND_HELP = msg("Kind of this entry; it decides which other keys are allowed.")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


@dataclass(frozen=True, slots=True)
class Child:
    """A key below an explained one. `kind` names the kinds of entry it belongs to, where not to all."""

    key: str
    type: str
    required: bool
    default: Any
    help: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """What a path of the spec means; `default` is plain data, None also where there is none."""

    path: str
    type: str
    required: bool
    default: Any
    help: str
    children: tuple[Child, ...] = ()


@cache
def documented(module: str) -> Mapping[str, Mapping[str, str]]:
    """Attribute docstrings of a module's classes: class → attribute → text, a `Message` for each."""
    source = FilePath(inspect.getfile(sys.modules[module])).read_text(encoding="utf-8")
    classes = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = {
                name.target.id: _message(inspect.cleandoc(text.value.value).replace("\n", " "))
                for name, text in zip(node.body, node.body[1:], strict=False)
                if isinstance(name, ast.AnnAssign)
                and isinstance(name.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            }
    return classes


def _message(text: str) -> str:
    return Message(text.replace("{", "{{").replace("}", "}}"))


@cache
def help_of(model: Section) -> Mapping[str, str]:
    """Help text of each field of a section, by the key it is written with."""
    texts: dict[str, str] = {}
    for name, info in model.model_fields.items():
        for owner in model.__mro__:
            text = (
                documented(owner.__module__).get(owner.__name__, {}).get(name)
                if owner is not object
                else None
            )
            if text:
                texts[key_of(name, info)] = text
                break
    return texts


def type_words(here: Shape) -> str:
    """A type for people: `port, 1 to 65535`, `ja or en`, `list of sections`."""
    if here.models:
        return msg("section")
    if here.entries is not None:
        return msg("mapping of names to {plural}", plural=_plural(type_words(shape(here.entries))))
    if here.items is not None:
        return msg("list of {plural}", plural=_plural(type_words(shape(here.items))))
    if literals(here.type):
        *first, last = [str(choice) for choice in literals(here.type)]
        return msg("{first} or {last}", first=", ".join(first), last=last) if first else last
    base = {
        int: msg("whole number"),
        float: msg("number"),
        bool: msg("true or false"),
        str: msg("text"),
        Secret: msg("secret, or a file path as NAME_file"),
    }
    means = [c.words for c in here.constraints if isinstance(c, Means)]
    words = means[0] if means else base.get(here.type, msg("any"))
    low, high = bound(here, "ge"), bound(here, "le")
    if low is not None and high is not None:
        return msg("{words}, {low:g} to {high:g}", words=words, low=low, high=high)
    return msg("{words}, at least {low:g}", words=words, low=low) if low is not None else words


_PLURALS = {
    "any": msg("anything"),
    "host name": msg("host names"),
    "image": msg("images"),
    "IP address": msg("IP addresses"),
    "name": msg("names"),
    "path": msg("paths"),
    "port": msg("ports"),
    "section": msg("sections"),
    "text": msg("texts"),
}


def _plural(words: str) -> str:
    if "," in words or " to " in words:
        return words
    return _PLURALS.get(words) or msg("{word}s", word=words)


def plain_default(value: Any) -> Any:
    """A default as plain data; secrets are left out."""
    if isinstance(value, BaseModel):
        pairs = ((key_of(n, i), getattr(value, n)) for n, i in type(value).model_fields.items())
        return {k: plain_default(v) for k, v in pairs if v is not None and not isinstance(v, Secret)}
    if isinstance(value, Mapping):
        return {key: plain_default(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain_default(entry) for entry in value]
    return None if isinstance(value, Secret) else value


def explain(path: str = "") -> Explained:
    """Explain a dotted path such as `app.instances`; the empty path explains the top level.

    Indices and names of entries may be left out or given: `app.instances.port`, `providers.gpt.model`.
    Raises OpsError for a path that the spec does not have.
    """
    here = ROOT
    explained = Explained("", "section", True, None, msg("The whole spec."))
    steps = [part for part in path.replace("[", ".").replace("]", "").split(".") if part]
    walked: list[str] = []
    for part in steps:
        here = _into(here, part)
        if not here.container:
            raise OpsError(
                msg(
                    "{walked} has no keys below it; its type is {type_words}",
                    walked=".".join(walked),
                    type_words=type_words(here),
                ),
                exit_code=2,
            )
        if not here.models:  # part is the index or the name of an entry
            walked.append(part)
            inner = here
            here = shape(inner.entries if inner.entries is not None else inner.items)
            explained = Explained(".".join(walked), type_words(here), False, None, explained.help)
            continue
        secret = part.removesuffix("_file")
        if secret != part == steps[-1] and any(secret in secrets_in(m) for m in here.models):
            path, words = (
                ".".join((*walked, part)),
                msg(
                    "File that contains the value of `{key}`, in place of `{key}` in the spec.",
                    key=secret,
                ),
            )
            return Explained(path, msg("path"), False, None, words)
        owner = next((m for m in here.models if part in fields_of(m)), None)
        if owner is None:
            known = dict.fromkeys(key for m in here.models for key in keys_of(m))
            where = ".".join(walked) or msg("the spec")
            raise OpsError(
                msg("{where} has no key {part}", part=part, where=where),
                _with_dots(part, walked) or did_you_mean(part, known),
                exit_code=2,
            )
        walked.append(part)
        child = _child(owner, part)
        explained = Explained(".".join(walked), child.type, child.required, child.default, child.help)
        here = fields_of(owner)[part]
    return Explained(
        explained.path, explained.type, explained.required, explained.default, explained.help, _children(here)
    )


def _into(here: Shape, part: str) -> Shape:
    """What `part` is looked up in: for a list or mapping whose entry's name is left out, the entry."""
    while here.entries is not None or here.items is not None:
        entry = shape(here.entries if here.entries is not None else here.items)
        if part.isdigit() or not any(part in keys_of(m) for m in entry.models):
            return here
        here = entry
    return here


def _child(model: Section, key: str) -> Child:
    name, info = next((n, i) for n, i in model.model_fields.items() if key_of(n, i) == key)
    default = None if info.is_required() else plain_default(info.get_default(call_default_factory=True))
    kinds = literals(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    return Child(
        key_of(name, info),
        type_words(fields_of(model)[key]),
        info.is_required(),
        default,
        help_of(model).get(key, ""),
        str(kinds[0]) if kinds else "",
    )


def _children(here: Shape) -> tuple[Child, ...]:
    while here.entries is not None or here.items is not None:
        here = shape(here.entries if here.entries is not None else here.items)
    merged: dict[str, list[Child]] = {}
    for model in here.models:
        for key in fields_of(model):
            _join(merged.setdefault(key, []), _child(model, key))
    total = len(here.models)
    for same in merged.values():
        for n, child in enumerate(same):
            if child.kind.count(",") + 1 == total:
                same[n] = replace(child, kind="")
    return tuple(child for same in merged.values() for child in same)


def _join(known: list[Child], child: Child) -> None:
    """Add the field of one more kind to those of the same key, as one where they are alike."""
    for n, other in enumerate(known):
        if child.key == "kind":
            known[n] = replace(
                other, type=f"{other.type}, {child.type}", kind=f"{other.kind}, {child.kind}", help=_KIND_HELP
            )
            return
        if replace(other, kind=child.kind) == child:
            known[n] = replace(other, kind=f"{other.kind}, {child.kind}")
            return
    known.append(child)


def _with_dots(part: str, before: Sequence[str]) -> str:
    """What to write where `part` joins names by something else than dots, as a path or a URL does."""
    names = re.split(r"[:/\s]+", part.strip(":/ "))
    return msg("write {path}", path=".".join([*before, *names])) if len(names) > 1 and all(names) else ""


def json_schema() -> dict[str, Any]:
    """JSON Schema of techsapo.yaml; a `${VAR}` passes wherever a number, switch or choice is wanted."""
    generated = Spec.model_json_schema()
    definitions: dict[str, Any] = generated.pop("$defs")
    for model in sections_of(ROOT):
        target = generated if model is Spec else definitions[model.__name__]
        for key, text in help_of(model).items():
            target["properties"][key] = {**target["properties"][key], "description": text}
        for key in secrets_in(model):
            words = msg("File that contains the value of `{key}`, in place of `{key}` in the spec.", key=key)
            target["properties"][f"{key}_file"] = {"type": "string", "description": words}
    properties = generated["properties"]
    overlay = {
        "type": ["object", "null"],
        "properties": {
            key: {"description": p["description"]} for key, p in properties.items() if key != "environments"
        },
        "additionalProperties": False,
    }
    properties["environments"] = {
        "description": properties["environments"]["description"],
        "type": ["object", "null"],
        "additionalProperties": overlay,
    }
    schema = {"$schema": DIALECT, "title": "techsapo.yaml", **_with_variables(generated)}
    schema["$defs"] = {name: _with_variables(definition) for name, definition in sorted(definitions.items())}
    return schema


def _with_variables(node: Any) -> Any:
    """`node` with every value schema that a variable's text would fail widened by that text."""
    if isinstance(node, list):
        return [_with_variables(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if _narrow(node):
        notes = {key: node[key] for key in ("description", "default") if key in node}
        bare = {key: value for key, value in node.items() if key not in notes and key != "title"}
        return {**notes, "anyOf": [bare, _VARIABLE]}
    return {
        key: value if key in {"propertyNames", "default"} else _with_variables(value)
        for key, value in node.items()
        if key != "title"  # pydantic's, which only repeats the key
    }


def _narrow(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    if isinstance(kind, list):
        return "string" in kind and "pattern" in node
    return kind in ("integer", "number", "boolean") or (
        kind == "string" and ("pattern" in node or "enum" in node)
    )
