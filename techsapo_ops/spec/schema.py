"""The spec's JSON Schema (draft 2020-12), for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.describe import help_of
from techsapo_ops.spec.fields import ROOT, secrets_in, sections_of
from techsapo_ops.spec.models import Spec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def json_schema() -> dict[str, Any]:
    """JSON Schema of techsapo.yaml; a `${VAR}` passes wherever a number, switch or choice is wanted."""
    generated = Spec.model_json_schema()
    definitions: dict[str, Any] = generated.pop("$defs")
    for model in sections_of(ROOT):
        target = generated if model is Spec else definitions[model.__name__]
        for key, text in help_of(model).items():
            target["properties"][key] = {**target["properties"][key], "description": text}
        for key in secrets_in(model):
            words = msg("File that holds `{key}`, in its place.", key=key)
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
