"""What the vendors refuse, by tests/cases/vendors/*.yaml: the stand-ins ask here before they answer.

Statuses and codes are the vendors'. Words are theirs where the table names a source for them, else ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vendors.refusals import claude_refusal, gemini_refusal, openai_refusal

_CASES = Path(__file__).parents[2] / "cases" / "vendors"
GOOGLE, OPENAI, ANTHROPIC = (
    yaml.safe_load((_CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("google", "openai", "anthropic")
)
_PATH = re.compile(r"/(?P<version>[^/]+)/models/(?P<model>[^/:]+):(?P<method>\w+)")


def google(path: str, key: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """Model and method of a call that Google takes. Raises Refused for others."""
    found = _PATH.fullmatch(path)
    if found is None or found["version"] not in {"v1", "v1beta"}:
        raise gemini_refusal(404, "NOT_FOUND", f"no such path: {path}")
    version, model = found["version"], found["model"]
    if not key:
        raise gemini_refusal(GOOGLE["no_key"]["status"], "PERMISSION_DENIED", GOOGLE["no_key"]["message"])
    if found["method"] not in {"generateContent", "streamGenerateContent"}:
        raise gemini_refusal(404, "NOT_FOUND", f"no such method: {found['method']}")
    unknown = list(_unknown(version, "GenerateContentRequest", body, ""))
    if unknown:
        details = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": unknown}
        message = "\n".join(violation["description"] for violation in unknown)
        raise gemini_refusal(400, "INVALID_ARGUMENT", message, details)
    if model in GOOGLE["retired"]:
        raise gemini_refusal(404, "NOT_FOUND", GOOGLE["retired"][model]["message"].format(model=model))
    config = {_camel(k): v for k, v in body.get("generationConfig", {}).items()}
    _google_structure(config)
    _google_thinking(model, {_camel(k): v for k, v in config.get("thinkingConfig", {}).items()})
    return model, found["method"]


def openai(body: Mapping[str, Any]) -> None:
    """Raise Refused for a body that the Responses API refuses."""
    model = body.get("model", "")
    for name in body:
        if name not in OPENAI["fields"]["names"]:
            raise openai_refusal(400, f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if model in OPENAI["retired"]["models"]:
        told = f"The model `{model}` does not exist or you do not have access to it."
        raise openai_refusal(404, told, None, "model_not_found")
    rules = _of_model(OPENAI["effort"]["models"], model)
    if rules is None:
        return
    effort = body.get("reasoning", {}).get("effort")
    if effort is not None and effort not in rules["values"]:
        *most, last = (f"'{value}'" for value in rules["values"])
        told = (
            f"Unsupported value: '{effort}' is not supported with the '{model}' model. "
            f"Supported values are: {', '.join(most)}, and {last}."
        )
        raise openai_refusal(400, told, "reasoning.effort", "unsupported_value")
    for name in OPENAI["sampling"]:
        if name in body and (effort or rules.get("default")) != "none":
            told = f"Unsupported parameter: '{name}' is not supported with this model."
            raise openai_refusal(400, told, name, "unsupported_parameter")


def anthropic(body: Mapping[str, Any]) -> None:
    """Raise Refused for a body that the Messages API refuses."""
    fields = ANTHROPIC["fields"]
    for name in fields["required"]:
        if name not in body:
            raise claude_refusal(400, "invalid_request_error", f"{name}: Field required")
    output = body.get("output_config", {})
    places = ((body, "names", ""), (output, "output_config", "output_config."),
              (output.get("format") or {}, "format", "output_config.format."))  # fmt: skip
    for given, known, at in places:
        for name in given:
            if name not in fields[known]:
                told = f"{at}{name}: Extra inputs are not permitted"
                raise claude_refusal(400, "invalid_request_error", told)
    model = body["model"]
    if model in ANTHROPIC["retired"]["models"]:
        raise claude_refusal(404, "not_found_error", f"model: {model}")
    rules = _of_model(ANTHROPIC["models"], model)
    if rules is None:
        return
    told = ""
    kind = body.get("thinking", {}).get("type")
    if kind is not None and kind not in rules["thinking"]:
        told = f'"thinking.type.{kind}" is not supported for this model.'
    elif not rules["sampling"] and (sampled := [n for n in ANTHROPIC["sampling"] if n in body]):
        told = f"`{sampled[0]}` is deprecated for this model."
    elif not rules["prefill"] and body["messages"][-1]["role"] == "assistant":
        told = "This model does not support assistant message prefill."
    elif not rules["effort"] and "effort" in output:
        told = "This model does not support the effort parameter."
    if told:
        raise claude_refusal(400, "invalid_request_error", told)


def _unknown(version: str, message: str, value: Mapping[str, Any], at: str) -> Iterator[dict[str, str]]:
    """Google's violations for fields that `version` does not know in `message`, and in what it holds."""
    known = {*GOOGLE["fields"]["v1"][message]}
    if version == "v1beta":
        known |= {*GOOGLE["fields"]["v1beta"][message]}
    for key, inner in value.items():
        name = _camel(key)
        if name not in known:
            where = f" at '{at}'" if at else ""
            told = f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.'
            yield {**({"field": at} if at else {}), "description": told}
        elif (held := GOOGLE["nested"].get(name)) is not None:
            place = f"{at}.{_snake(name)}" if at else _snake(name)
            if name == "properties":
                items = [(f"{place}[{n}].value", one) for n, one in enumerate(inner.values())]
            elif isinstance(inner, list):
                items = [(f"{place}[{n}]", one) for n, one in enumerate(inner)]
            else:
                items = [(place, inner)]
            for where, one in items:
                yield from _unknown(version, held, one, where)


def _google_structure(config: Mapping[str, Any]) -> None:
    schema = config.get("responseJsonSchema", config.get("_responseJsonSchema"))
    asked = [s for s in (schema, config.get("responseSchema")) if s is not None]
    if len(asked) > 1:
        raise gemini_refusal(
            400, "INVALID_ARGUMENT", "response_schema and response_json_schema exclude each other"
        )
    if asked and config.get("responseMimeType") != "application/json":
        raise gemini_refusal(
            400, "INVALID_ARGUMENT", "a response schema needs response_mime_type application/json"
        )
    for keyword in _keywords(schema or {}):
        if keyword not in GOOGLE["json_schema"]["keywords"]:
            raise gemini_refusal(400, "INVALID_ARGUMENT", f"response_json_schema: {keyword} is not supported")


def _keywords(schema: Any) -> Iterator[str]:
    """Every keyword of a JSON Schema, without the names of its properties."""
    if isinstance(schema, list):
        for one in schema:
            yield from _keywords(one)
    elif isinstance(schema, dict):
        for keyword, inner in schema.items():
            yield keyword
            named = keyword in {"properties", "$defs"}
            if named or keyword in {"items", "prefixItems", "anyOf", "oneOf", "additionalProperties"}:
                yield from _keywords(list(inner.values()) if named else inner)


def _google_thinking(model: str, config: Mapping[str, Any]) -> None:
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    told = ""
    rules = _of_model(GOOGLE["thinking"]["models"], model) or {}
    if budget is not None and level is not None:
        told = "thinking_budget and thinking_level exclude each other"
    elif level is not None and level not in (levels := rules.get("levels", [level])):
        told = GOOGLE["thinking"]["other" if levels else "none"].format(level=level)
    elif budget is not None and budget != -1 and "budget" in rules:
        least, most = rules["budget"]
        if not least <= budget <= most:
            told = (
                f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."
            )
    if told:
        raise gemini_refusal(400, "INVALID_ARGUMENT", told)


def _of_model(rules: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """The rules of the longest name that `model` begins with."""
    names = [name for name in rules if model == name or model.startswith(f"{name}-")]
    return rules[max(names, key=len)] if names else None


def _camel(name: str) -> str:
    return name[:1] + re.sub(r"_([a-z])", lambda found: found[1].upper(), name[1:])


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
