"""OpenAI's Responses API and chat completions, by tests/cases/vendors/openai.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vendors import lists
from vendors.refusals import Refused, openai_refusal
from vendors.rules import schemas
from vendors.rules.shapes import Broken, Shapes
from vendors.rules.tables import known, listed, most_output, of_model, table

RULES = table("openai")
_RESPONSES, _CHAT = Shapes(RULES["responses"]["shapes"]), Shapes(RULES["chat"]["shapes"])
_ARTICLES = {"integer": "an integer", "object": "an object", "array": "an array"}


def content_type(given: str) -> None:
    """Raise Refused for a body that is not said to be JSON."""
    if given != "application/json":
        told = RULES["content_type"]["told"].format(given=given)
        raise openai_refusal(400, told, None, "unsupported_content_type")


def responses(body: Mapping[str, Any], deployment: str | None = None) -> None:
    """Raise Refused for a body that the Responses API refuses; `deployment` as in `chat`."""
    _shape(_RESPONSES, body)
    model = deployment or body["model"]
    exists(model)
    effort = (body.get("reasoning") or {}).get("effort")
    _effort(model, effort, "reasoning.effort")
    _sampling(model, effort, body)
    _most(model, "max_output_tokens", body)
    form = body.get("text", {}).get("format", {})
    if form.get("type") == "json_schema":
        _schema(form["name"], form["schema"], bool(form.get("strict")), "text.format.schema")


def chat(body: Mapping[str, Any], deployment: str | None = None) -> None:
    """Raise Refused for a body that OpenAI's chat completions refuse.

    `deployment` is the model behind the name in the body, where that is a name of the user's own (Azure).
    """
    _shape(_CHAT, body)
    model = deployment or body["model"]
    exists(model)
    if "max_tokens" in body and model not in RULES["plain_models"]:
        raise openai_refusal(400, RULES["limits"]["renamed"], "max_tokens", "unsupported_parameter")
    effort = body.get("reasoning_effort")
    _effort(model, effort, "reasoning_effort")
    _sampling(model, effort, body)
    for name in ("max_tokens", "max_completion_tokens"):
        _most(model, name, body)
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        asked = form["json_schema"]
        _schema(asked["name"], asked.get("schema", {}), bool(asked.get("strict")), "response_format")


def shape(body: Mapping[str, Any]) -> None:
    """Raise Refused for what no chat completion holds, whatever the model."""
    _shape(_CHAT, body)


def exists(model: str) -> None:
    """Raise Refused for a model that OpenAI does not serve, or no longer."""
    if not known(model, lists.OPENAI):
        raise openai_refusal(404, RULES["retired"]["told"].format(model=model), None, "model_not_found")


def refusal(broken: Broken) -> Refused:
    """What OpenAI says of a request that breaks a shape."""
    at = broken.dotted
    takes = " or ".join(_ARTICLES.get(kind, f"a {kind}") for kind in broken.takes)
    told, code = {
        "unknown": (f"Unknown parameter: '{at}'.", "unknown_parameter"),
        "missing": (f"Missing required parameter: '{at}'.", "missing_required_parameter"),
        "type": (
            f"Invalid type for '{at}': expected {takes}, but got {broken.given!r} instead.",
            "invalid_type",
        ),
        "value": (
            f"Invalid value: '{broken.given}'. Supported values are: {listed(broken.takes or ('',))}.",
            "invalid_value",
        ),
        "least": (
            f"Invalid '{at}': integer below minimum value. Expected a value >= {'/'.join(broken.takes)}, "
            f"but got {broken.given} instead.",
            "integer_below_min_value",
        ),
    }[broken.what]
    return openai_refusal(400, told, at, code)


def _shape(shapes: Shapes, body: Mapping[str, Any]) -> None:
    for broken in shapes.broken("Request", body):
        raise refusal(broken)


def _effort(model: str, effort: str | None, param: str) -> None:
    rules = of_model(RULES["effort"]["models"], model)
    if effort is None:
        return
    if model in RULES["plain_models"]:
        raise openai_refusal(
            400, RULES["sampling"]["unsupported"].format(name=param), param, "unsupported_parameter"
        )
    if rules is not None and effort not in rules["values"]:
        told = RULES["effort"]["unsupported"].format(
            value=effort, model=model, values=listed(rules["values"])
        )
        raise openai_refusal(400, told, param, "unsupported_value")


def _sampling(model: str, effort: str | None, body: Mapping[str, Any]) -> None:
    rules = of_model(RULES["effort"]["models"], model)
    if rules is None or (effort or rules.get("default")) == "none":
        return
    for name in RULES["sampling"]["names"]:
        if name in body:
            told = RULES["sampling"]["unsupported"].format(name=name)
            raise openai_refusal(400, told, name, "unsupported_parameter")


def _most(model: str, name: str, body: Mapping[str, Any]) -> None:
    most, given = most_output(model, lists.OPENAI), body.get(name)
    if most is not None and given is not None and given > most:
        told = RULES["limits"]["too_large"].format(name=name, given=given, most=most)
        raise openai_refusal(400, told, name, "invalid_value")


def _schema(name: str, schema: Any, strict: bool, param: str) -> None:
    if not re.fullmatch(RULES["schema_name"]["pattern"], name):
        at = param.removesuffix(".schema") + (".json_schema" if param == "response_format" else "")
        told = RULES["schema_name"]["told"].format(at=f"{at}.name", pattern=RULES["schema_name"]["pattern"])
        raise openai_refusal(400, told, f"{at}.name", "invalid_value")
    if not strict:
        return
    for told in schemas.wrong("openai", schema):
        text = f"Invalid schema for response_format '{name}': {told}"
        raise openai_refusal(400, text, param, "invalid_json_schema")
