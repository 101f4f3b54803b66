"""Anthropic's Messages API, by tests/cases/vendors/anthropic.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vendors import lists
from vendors.refusals import Refused, claude_refusal
from vendors.rules import schemas
from vendors.rules.shapes import Broken, Shapes
from vendors.rules.tables import known, listed, most_output, of_model, table

RULES = table("anthropic")
_SHAPES = Shapes(RULES["messages"]["shapes"])


def headers(version: str | None, content_type: str) -> None:
    """Raise Refused for another version than there is, or for a body that is not said to be JSON."""
    rules = RULES["headers"]
    if version is None:
        raise _invalid(rules["none"])
    if version not in rules["versions"]:
        raise _invalid(rules["other"].format(given=version))
    if content_type != "application/json":
        raise _invalid("Content-Type: application/json is required")


def messages(body: Mapping[str, Any], version: str = "2023-06-01", model: str | None = None) -> None:
    """Raise Refused for a body that this version of the Messages API refuses.

    `model` is the one behind the name in the body, where another cloud has a name of its own.
    """
    for broken in _SHAPES.broken("Request", body):
        raise refusal(broken)
    for name in RULES["headers"]["versions"][version]:
        if name in body:
            raise _invalid(f"{name}: Extra inputs are not permitted")
    asked = model or body["model"]
    if asked in RULES["retired"]["models"] or not known(asked, lists.ANTHROPIC):
        raise claude_refusal(404, "not_found_error", RULES["retired"]["told"].format(model=body["model"]))
    for told in (*_limits(asked, body), *_of_model(asked, body)):
        raise _invalid(told)
    schema = (body.get("output_config", {}).get("format") or {}).get("schema")
    for told in schemas.wrong("anthropic", schema) if schema is not None else ():
        raise _invalid(f"output_config.format.schema: {told}")


def thinks(model: str, body: Mapping[str, Any]) -> str | None:
    """What a reply shows of the model's thinking: summarized, omitted, or nothing (None)."""
    rules = of_model(RULES["models"]["rows"], model) or {"thinks": True}
    asked = body.get("thinking", {})
    kind = asked.get("type")
    if kind in {"disabled", "between_tools"} or (kind is None and not rules["thinks"]):
        return None
    return str(asked.get("display") or rules.get("display", "summarized"))


def refusal(broken: Broken) -> Refused:
    """What Anthropic says of a request that breaks a shape."""
    at = ".".join(str(part) for part in broken.path)
    if broken.path[:1] == ("thinking",) and broken.what == "least":
        at = f"thinking.enabled.{broken.name}"
    told = {
        "unknown": "Extra inputs are not permitted",
        "missing": "Field required",
        "type": f"Input should be a valid {' or '.join(broken.takes)}",
        "value": f"Input should be {listed(broken.takes or ('',))}",
        "least": f"Input should be greater than or equal to {' '.join(broken.takes)}",
    }[broken.what]
    return _invalid(f"{at}: {told}")


def _limits(model: str, body: Mapping[str, Any]) -> Iterator[str]:
    given, most = body["max_tokens"], most_output(model, lists.ANTHROPIC)
    if most is not None and given > most:
        yield RULES["limits"]["too_large"].format(given=given, most=most, model=model)
    if given <= body.get("thinking", {}).get("budget_tokens", 0):
        yield RULES["limits"]["budget"]


def _of_model(model: str, body: Mapping[str, Any]) -> Iterator[str]:
    rules = of_model(RULES["models"]["rows"], model)
    if rules is None:
        return
    words = RULES["models"]["told"]
    kind, effort = body.get("thinking", {}).get("type"), body.get("output_config", {}).get("effort")
    if kind is not None and kind not in rules["thinking"]:
        yield words["thinking"].format(kind=kind)
    if kind in {"disabled", "between_tools"} and effort not in (
        None,
        *rules.get("unthinking_efforts", [effort]),
    ):
        yield words["unthinking"].format(kind=kind, effort=effort)
    sampled = [name for name in RULES["sampling"] if name in body]
    if sampled and not rules.get("sampling", True):
        yield words["sampling"].format(name=sampled[0])
    if not rules.get("prefill", True) and body["messages"][-1]["role"] == "assistant":
        yield words["prefill"]
    if effort is not None and not rules.get("effort", True):
        yield words["effort"]
    if body.get("tool_choice", {}).get("type") in {"any", "tool"} and not rules.get("forced_tools", True):
        yield words["forced_tools"]


def _invalid(told: str) -> Refused:
    return claude_refusal(400, "invalid_request_error", told)
