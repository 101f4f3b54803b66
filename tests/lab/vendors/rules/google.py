"""Google's Generative Language API and Vertex AI, by tests/cases/vendors/google.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vendors import keys, lists
from vendors.refusals import Refused, gemini_refusal
from vendors.rules import schemas
from vendors.rules.shapes import Broken, Path, Shapes, dotted
from vendors.rules.tables import known, most_output, of_model, table

RULES = table("google")
_PATH = re.compile(r"/(?P<version>[^/]+)/models/(?P<model>[^/:]+):(?P<method>\w+)")


def camel(name: str) -> str:
    return name[:1] + re.sub(r"_([a-z])", lambda found: found[1].upper(), name[1:])


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


_TABLES = RULES["shapes"]
_V1: dict[str, Any] = _TABLES["v1"]
_V1BETA = {name: {**_V1.get(name, {}), **_TABLES["v1beta"].get(name, {})} for name in _V1 | _TABLES["v1beta"]}
_SHAPES = {
    "v1": Shapes(_V1, camel),
    "v1beta": Shapes(_V1BETA, camel),
    "vertex": Shapes(_TABLES["vertex"], camel),
}


def generate(path: str, key: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """Model and method of a call that the Generative Language API takes. Raises Refused for others."""
    found = _PATH.fullmatch(path)
    if found is None or found["version"] not in {"v1", "v1beta"}:
        raise gemini_refusal(404, "NOT_FOUND", f"no such path: {path}")
    version, model = found["version"], found["model"]
    if not key:
        raise keys.google("")
    if found["method"] not in {"generateContent", "streamGenerateContent"}:
        raise gemini_refusal(404, "NOT_FOUND", f"no such method: {found['method']}")
    request(version, body)
    if model in RULES["retired"]:
        raise gemini_refusal(404, "NOT_FOUND", RULES["retired"][model]["message"].format(model=model))
    if not known(model, lists.GOOGLE):
        told = RULES["unknown"]["message"].format(model=model, version=version)
        raise gemini_refusal(404, "NOT_FOUND", told)
    options(model, body)
    return model, found["method"]


def request(version: str, body: Mapping[str, Any]) -> None:
    """Raise Refused for what `version` (v1, v1beta, vertex) does not know; all of it is told at once."""
    broken = list(_SHAPES[version].broken("Request", body))
    if broken:
        violations = [_violation(one) for one in broken]
        details = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
        message = "\n".join(violation["description"] for violation in violations)
        raise gemini_refusal(400, "INVALID_ARGUMENT", message, details)


def options(model: str, body: Mapping[str, Any]) -> None:
    """Raise Refused for what `model` does not take."""
    config = {camel(k): v for k, v in _of(body, "generationConfig").items()}
    thinking = {camel(k): v for k, v in config.get("thinkingConfig", {}).items()}
    for told in (*_structure(config), *_thinking(model, thinking), *_limit(model, config)):
        raise gemini_refusal(400, "INVALID_ARGUMENT", told)


def shows_thoughts(body: Mapping[str, Any]) -> bool:
    """Whether the reply to `body` holds the model's thoughts."""
    config = _of(_of(body, "generationConfig"), "thinkingConfig")
    return any(camel(name) == "includeThoughts" and value for name, value in config.items())


def _of(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((value for key, value in body.items() if camel(key) == name), {})


def _violation(broken: Broken) -> dict[str, str]:
    parents = broken.path[:-1]
    at = _place(parents if broken.what in {"unknown", "missing"} else broken.path)
    where = f" at '{at}'" if at else ""
    told = {
        "unknown": f'Invalid JSON payload received. Unknown name "{broken.name}"{where}: Cannot find field.',
        "missing": f"{_place(broken.path)} is required",
        "type": f"Invalid value{where} ({'/'.join(broken.takes)}), {broken.given!r}",
        "value": f"Invalid value{where} ({'/'.join(broken.takes)}), {broken.given!r}",
        "least": f"Invalid value{where}: at least {'/'.join(broken.takes)}",
    }[broken.what]
    return {**({"field": at} if at else {}), "description": told}


def _place(path: Path) -> str:
    return dotted(tuple(_snake(part) if isinstance(part, str) else part for part in path))


def _structure(config: Mapping[str, Any]) -> Iterator[str]:
    schema = config.get("responseJsonSchema", config.get("_responseJsonSchema"))
    asked = [s for s in (schema, config.get("responseSchema")) if s is not None]
    if len(asked) > 1:
        yield "response_schema and response_json_schema exclude each other"
    if asked and config.get("responseMimeType") != "application/json":
        yield "a response schema needs response_mime_type application/json"
    for told in schemas.wrong("google", schema) if schema is not None else ():
        yield f"response_json_schema: {told}"


def _thinking(model: str, config: Mapping[str, Any]) -> Iterator[str]:
    rules, words = of_model(RULES["thinking"]["models"], model) or {}, RULES["thinking"]
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    if budget is not None and level is not None:
        yield words["both"]
    if level is not None and level not in words["enum"]:
        yield f"Invalid value at 'generation_config.thinking_config.thinking_level', {level!r}"
    elif level is not None and level not in (levels := rules.get("levels", [level])):
        yield words["other" if levels else "none"].format(level=level)
    if budget is not None and budget != -1 and not (budget == 0 and rules.get("none")):
        least, most = _range(rules)
        if not least <= budget <= most:
            yield words["out_of_range"].format(budget=budget, least=least, most=most)


def _range(rules: Mapping[str, Any]) -> Sequence[int]:
    bounds: Sequence[int] = rules.get("budget", (0, 65536))
    return bounds


def _limit(model: str, config: Mapping[str, Any]) -> Iterator[str]:
    given, most = config.get("maxOutputTokens"), most_output(model, lists.GOOGLE)
    if given is not None and (given < 1 or (most is not None and given > most)):
        yield RULES["limits"]["told"].format(given=given, most=most)


def refusal_without_token() -> Refused:
    """What Vertex AI says to a call without credentials."""
    told = table("clouds")["vertex"]["no_token"]
    return gemini_refusal(told["status"], told["word"], told["message"])
