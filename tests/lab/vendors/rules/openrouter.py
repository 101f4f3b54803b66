"""OpenRouter's chat completions, by tests/cases/vendors/openrouter.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vendors import lists
from vendors.refusals import Refused, openrouter_refusal
from vendors.rules import schemas
from vendors.rules.shapes import Broken, Shapes
from vendors.rules.tables import known, most_output, table

RULES = table("openrouter")
_SHAPES = Shapes(RULES["chat"]["shapes"])
EVERYTHING = frozenset(RULES["require_parameters"]["parameters"].values())


def chat(body: Mapping[str, Any]) -> None:
    """Raise Refused for a body that OpenRouter refuses, or that no endpoint is left for."""
    for broken in _SHAPES.broken("Request", body):
        raise refusal(broken)
    model = body["model"]
    if not known(model, lists.OPENROUTER):
        told = RULES["models"]["unknown"]
        raise openrouter_refusal(told["status"], told["message"].format(model=model))
    reasoning = body.get("reasoning", {})
    if "effort" in reasoning and "max_tokens" in reasoning:
        raise openrouter_refusal(400, RULES["reasoning"]["both"])
    if body.get("provider", {}).get("require_parameters") and lacking(model, body):
        told = RULES["require_parameters"]["none"]
        raise openrouter_refusal(told["status"], told["message"], failed_routing_step="Filter by Parameters")
    most, given = most_output(model, lists.OPENROUTER), body.get("max_tokens")
    if most is not None and given is not None and given > most:
        text = f"max_tokens is too large: {given}. This endpoint supports at most {most} completion tokens"
        raise openrouter_refusal(400, text)
    form = body.get("response_format", {}).get("json_schema", {})
    if form.get("strict") and "response_format" not in lacking(model, body):
        for told in schemas.wrong("openai", form["schema"]):
            raise openrouter_refusal(400, f"Provider returned error: invalid schema: {told}")


def lacking(model: str, body: Mapping[str, Any]) -> Sequence[str]:
    """The fields of `body` that the model's endpoints pass over."""
    row = next((row for row in lists.OPENROUTER if row.id == model), None)
    supported = EVERYTHING if row is None or row.supports is None else frozenset(row.supports)
    needs = RULES["require_parameters"]["parameters"]
    return [name for name in body if name in needs and needs[name] not in supported]


def refusal(broken: Broken) -> Refused:
    """What the stand-in says of a request that breaks a shape; the words are ours."""
    told = f"{broken.dotted}: {broken.what}" + (f", takes {', '.join(broken.takes)}" if broken.takes else "")
    return openrouter_refusal(400, told)
