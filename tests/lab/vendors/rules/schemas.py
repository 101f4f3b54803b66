"""Which JSON Schemas the strict modes take, by tests/cases/vendors/schemas.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vendors.rules.tables import table

_MAPS = frozenset({"properties", "$defs", "definitions"})
_INNER = frozenset({"items", "prefixItems", "anyOf", "oneOf", "allOf"})
_STANDS_FOR_TYPE = frozenset({"anyOf", "oneOf", "allOf", "enum", "const", "$ref"})
Context = tuple[str, ...]


def wrong(vendor: str, schema: Any) -> Iterator[str]:
    """What `vendor`'s strict mode has against `schema`, in its words where they are known."""
    rules = table("schemas")[vendor]
    told = _WORDS[vendor]
    if not isinstance(schema, dict):
        yield told["root"]
        return
    if vendor == "openai" and schema.get("type") != "object":
        yield f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    places = list(_places(schema, ()))
    for context, one in places:
        yield from (text.replace("{context}", str(context)) for text in _wrong(rules, told, one))
    count = sum(len(one.get("properties", ())) for _, one in places)
    deepest = max(sum(part in _MAPS | _INNER for part in context) for context, _ in places)
    if count > rules.get("properties", count) or deepest > rules.get("depth", deepest):
        yield "the schema is too large"


_OPENAI = {
    "root": "schema must be an object",
    "keyword": "In context={context}, '{keyword}' is not permitted.",
    "closed": "In context={context}, 'additionalProperties' is required to be supplied and to be false.",
    "complete": "In context={context}, 'required' is required to be supplied and to be an array including "
    "every key in properties. Missing '{missing}'.",
    "typed": "In context={context}, schema must have a 'type' key.",
    "ref": "In context={context}, $ref cannot have keywords {'{keyword}'}.",
}
_PLAIN = {
    "root": "the schema must be an object",
    "keyword": "For '{type}' type, property '{keyword}' is not supported",
    "closed": "For 'object' type, 'additionalProperties' must be explicitly set to false",
    "complete": "'{missing}' is not required",
    "typed": "the schema must have a 'type'",
    "ref": "$ref stands beside {keyword}",
}


_WORDS = {
    "openai": _OPENAI,
    "anthropic": _PLAIN,
    "google": {**_PLAIN, "keyword": "{keyword} is not supported"},
}


def _wrong(rules: Mapping[str, Any], told: Mapping[str, str], schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type", "any")
    for keyword in schema:
        if keyword not in rules["keywords"]:
            yield told["keyword"].replace("{keyword}", keyword).replace("{type}", str(kind))
    if rules["lone_ref"] and "$ref" in schema and len(schema) > 1:
        other = next(keyword for keyword in schema if keyword != "$ref")
        yield told["ref"].replace("{keyword}", other)
    if rules["typed"] and "type" not in schema and not _STANDS_FOR_TYPE & set(schema):
        yield told["typed"]
    if kind == "object" or "properties" in schema:
        if rules["closed"] and schema.get("additionalProperties") is not False:
            yield told["closed"]
        lacking = [name for name in schema.get("properties", ()) if name not in schema.get("required", ())]
        if rules["complete"] and lacking:
            yield told["complete"].replace("{missing}", lacking[0])
    if (form := schema.get("format")) is not None and form not in rules.get("formats", [form]):
        yield told["keyword"].replace("{keyword}", f"format: {form}").replace("{type}", str(kind))
    if schema.get("minItems", 0) > rules.get("most_min_items", schema.get("minItems", 0)):
        yield told["keyword"].replace("{keyword}", "minItems").replace("{type}", str(kind))


def _places(schema: Any, context: Context) -> Iterator[tuple[Context, Mapping[str, Any]]]:
    """Every schema within `schema`, and where it is."""
    if not isinstance(schema, dict):
        return
    yield context, schema
    for keyword, inner in schema.items():
        if keyword in _MAPS:
            for name, one in inner.items():
                yield from _places(one, (*context, keyword, name))
        elif keyword in _INNER and isinstance(inner, list):
            for number, one in enumerate(inner):
                yield from _places(one, (*context, keyword, str(number)))
        elif keyword in _INNER or keyword == "additionalProperties":
            yield from _places(inner, (*context, keyword))
