"""Servers of chat completions on one's own machine, by tests/cases/vendors/compatible.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vendors import lists
from vendors.refusals import Refused, openai_refusal
from vendors.rules.shapes import Broken, Shapes
from vendors.rules.tables import known, table

RULES = table("compatible")
SERVERS = tuple(RULES)
_SHAPES = {name: Shapes(rules["shapes"]) for name, rules in RULES.items()}


def chat(server: str, body: Mapping[str, Any]) -> list[str]:
    """Fields of `body` that `server` does not read, those that we know of left out. Raises Refused."""
    rules = RULES[server]
    unread = []
    for broken in _SHAPES[server].broken("Request", body):
        if broken.what == "unknown":
            unread.append(broken.dotted)
        else:
            raise refusal(server, broken)
    told, model = rules["told"], body.get("model", "")
    if "no_model" in told and not known(model, lists.COMPATIBLE):
        raise _error(server, told["no_model"], model=model)
    context = next((row.context for row in lists.COMPATIBLE if row.id == model), None)
    for name in ("max_tokens", "max_completion_tokens"):
        given = body.get(name)
        if "too_large" in told and context is not None and given is not None and given > context:
            raise _error(server, told["too_large"], given=given, most=context)
    return [name for name in unread if name not in rules["passes_over"]]


def any_of_them(body: Mapping[str, Any]) -> None:
    """Raise Refused for what none of the servers reads, and for two limits at once."""
    told = {name: list(shapes.broken("Request", body)) for name, shapes in _SHAPES.items()}
    for broken in min(told.values(), key=len):
        if all(any(other.path == broken.path for other in others) for others in told.values()):
            raise openai_refusal(400, f"{broken.dotted}: {broken.what}", broken.dotted, "invalid_request")
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise openai_refusal(400, "set one of max_tokens and max_completion_tokens", None, "invalid_request")
    if not known(body["model"], lists.COMPATIBLE):
        told_so = f'model "{body["model"]}" not found, try pulling it first'
        raise openai_refusal(404, told_so, None, "not_found_error")


def refusal(server: str, broken: Broken) -> Refused:
    """What `server` says of a request that breaks its shape; most words are ours."""
    told = RULES[server]["told"].get("effort") if "effort" in broken.name else None
    if told is None:
        told = {"status": 400, "type": "invalid_request_error", "message": f"{broken.dotted}: {broken.what}"}
    return _error(server, told, given=broken.given, values=" or ".join(broken.takes))


def _error(server: str, told: Mapping[str, Any], **words: Any) -> Refused:
    status, message = told["status"], told["message"].format(**words)
    if server == "lm_studio" and status == 400:
        return Refused(status, {"error": message})
    if server == "ollama":
        error = {"message": message, "type": told["type"], "param": None, "code": None}
        return Refused(status, {"error": error})
    return Refused(status, {"error": {"code": status, "message": message, "type": told["type"]}})
