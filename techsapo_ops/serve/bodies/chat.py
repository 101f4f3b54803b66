"""OpenAI's chat completions: what a request may hold, and the shape of answers.

Codes and wording are OpenAI's, since its clients read them. Of a request's parameters those that would change
the answer, and that we can't do, are refused; those that only tune it have no effect.
Source: openai 3.57.0, types/chat/completion_create_params.py, 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Never

from techsapo_ops.messages import joined, msg
from techsapo_ops.serve.bodies.base import Body
from techsapo_ops.serve.http.problems import Code, Problem
from techsapo_ops.wallbounce.question import TaskType

_TYPES: Mapping[type, str] = {
    bool: msg("a boolean"),
    int: msg("an integer"),
    float: msg("a decimal"),
    str: msg("a string"),
    list: msg("an array"),
    dict: msg("an object"),
    type(None): "null",
}
_STRING, _NUMBER, _INTEGER, _BOOLEAN = (str,), (int, float), (int,), (bool,)
_OBJECT, _ARRAY = (dict,), (list,)

TAKEN: Mapping[str, tuple[type, ...]] = {
    "messages": _ARRAY,
    "model": _STRING,
    "n": _INTEGER,
    "response_format": _OBJECT,
    "stream": _BOOLEAN,
    "stream_options": _OBJECT,
    "language": _STRING,
}
"""What is read. `language` is our own: ja or en."""
WITHOUT_EFFECT: Mapping[str, tuple[type, ...]] = {
    "frequency_penalty": _NUMBER,
    "logit_bias": _OBJECT,
    "max_completion_tokens": _INTEGER,
    "max_tokens": _INTEGER,
    "metadata": _OBJECT,
    "parallel_tool_calls": _BOOLEAN,
    "prediction": _OBJECT,
    "presence_penalty": _NUMBER,
    "prompt_cache_key": _STRING,
    "prompt_cache_options": _OBJECT,
    "prompt_cache_retention": _STRING,
    "reasoning_effort": _STRING,
    "safety_identifier": _STRING,
    "seed": _INTEGER,
    "service_tier": _STRING,
    "stop": (str, list),
    "store": _BOOLEAN,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "user": _STRING,
    "verbosity": _STRING,
}
REFUSED: Mapping[str, tuple[type, ...]] = {
    "audio": _OBJECT,
    "function_call": (str, dict),
    "functions": _ARRAY,
    "logprobs": _BOOLEAN,
    "modalities": _ARRAY,
    "moderation": _OBJECT,
    "tool_choice": (str, dict),
    "tools": _ARRAY,
    "top_logprobs": _INTEGER,
    "web_search_options": _OBJECT,
}
"""Unless they ask for nothing: see `_asks_for_nothing`."""
_KNOWN = {**TAKEN, **WITHOUT_EFFECT, **REFUSED}
_CALLERS = {"tools": "tool_choice", "functions": "function_call"}
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_TEXTS: Mapping[str, str] = {"text": "text", "input_text": "text", "refusal": "refusal"}
"""Field of the words by type of a part of a message's content."""
_CALLS: Mapping[str, str] = {"function": "arguments", "custom": "input"}
"""Field of what is given by type of a call of a tool."""
_OTHER_PARTS = ("image_url", "input_audio", "file", "audio", "video_url")


def check_chat(body: Any) -> None:
    """Raises Problem for a body that is no chat completion request, or asks for what we can't do."""
    if not isinstance(body, dict):
        _refuse("invalid_type", msg("The body must be a JSON object, not {name}.", name=_name(body)), None)
    for name, value in body.items():
        if name not in _KNOWN:
            _refuse("unknown_parameter", msg("Unknown parameter: '{name}'.", name=name[:64]), name[:64])
        if value is not None:
            _typed(value, _KNOWN[name], name)
    for name in ("model", "messages"):
        if body.get(name) is None:
            _missing(name)
    for name in REFUSED:
        if not _asks_for_nothing(name, body):
            text = msg("Unsupported parameter: '{name}' is not supported with this model.", name=name)
            _refuse("unsupported_parameter", text, name)
    _check_values(body)
    if not body["messages"]:
        _refuse(
            "empty_array", msg("Invalid 'messages': empty array. It needs at least one message."), "messages"
        )
    for place, message in enumerate(body["messages"]):
        _check_message(message, f"messages[{place}]")


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message that was checked. What an assistant called is part of the conversation."""
    content = message.get("content") or ()
    parts = [content] if isinstance(content, str) else [part[_TEXTS[part["type"]]] for part in content]
    for call in message.get("tool_calls") or ():
        kind = "custom" if "custom" in call else "function"
        called = call.get(kind, {})
        parts.append(f"{called.get('name', '')}({called.get(_CALLS[kind], '')})")
    return "\n".join(parts)


def _asks_for_nothing(name: str, body: Mapping[str, Any]) -> bool:
    """Whether a refused parameter changes nothing as it is: null, empty, or tools that must not be called."""
    value = body.get(name)
    if name in _CALLERS:
        return not value or body.get(_CALLERS[name]) == "none"
    if name in _CALLERS.values():
        return value in (None, "none", "auto")
    if name == "modalities":
        return not value or value == ["text"]
    return value is None or value is False


def _check_values(body: Mapping[str, Any]) -> None:
    if body.get("n") not in (None, 1):
        _refuse(
            "unsupported_value", msg("Unsupported value: 'n' does not support more than one choice."), "n"
        )
    form = body.get("response_format") or {"type": "text"}
    if form.get("type") != "text":
        message = msg("Unsupported value: 'response_format.type' supports 'text' only with this model.")
        _refuse("unsupported_value", message, "response_format.type")
    for name, value in (body.get("stream_options") or {}).items():
        where = f"stream_options.{name[:64]}"
        if name not in {"include_usage", "include_obfuscation"}:
            _refuse("unknown_parameter", msg("Unknown parameter: '{where}'.", where=where), where)
        _typed(value, (bool, type(None)), where)
    if body.get("language") not in (None, "ja", "en"):
        _invalid("language", ("ja", "en"))


def _check_message(message: Any, where: str) -> None:
    _typed(message, _OBJECT, where)
    role = message.get("role")
    if role is None:
        _missing(f"{where}.role")
    if role not in _ROLES:
        _invalid(f"{where}.role", _ROLES)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        _missing(f"{where}.tool_call_id")
    content = message.get("content")
    if content is not None or role not in {"assistant", "function"}:  # these called tools, or said nothing
        if "content" not in message:
            _missing(f"{where}.content")
        _typed(content, (str, list), f"{where}.content")
    if isinstance(content, list):
        for number, part in enumerate(content):
            _check_part(part, f"{where}.content[{number}]")
    _check_calls(message.get("tool_calls"), f"{where}.tool_calls")


def _check_part(part: Any, where: str) -> None:
    _typed(part, _OBJECT, where)
    kind = part.get("type")
    if kind in _OTHER_PARTS:
        message = msg(
            "Unsupported value: '{where}.type' is '{kind}', and this model reads text only.",
            where=where,
            kind=kind,
        )
        _refuse("unsupported_value", message, f"{where}.type")
    if not isinstance(kind, str) or kind not in _TEXTS:
        _invalid(f"{where}.type", tuple(_TEXTS))
    _typed(part.get(_TEXTS[kind]), _STRING, f"{where}.{_TEXTS[kind]}")


def _check_calls(calls: Any, where: str) -> None:
    if calls is None:
        return
    _typed(calls, _ARRAY, where)
    for place, call in enumerate(calls):
        _typed(call, _OBJECT, f"{where}[{place}]")
        for kind, given in _CALLS.items():
            called = call.get(kind, {})
            _typed(called, _OBJECT, f"{where}[{place}].{kind}")
            for name in ("name", given):
                _typed(called.get(name, ""), _STRING, f"{where}[{place}].{kind}.{name}")


def _typed(value: Any, wanted: tuple[type, ...], where: str) -> None:
    """Raises Problem where `value` is of another type. True is no number."""
    if isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted):
        return
    expected = joined(" or ", (_TYPES[each] for each in wanted))
    message = msg(
        "Invalid type for '{where}': expected {expected}, but got {name} instead.",
        where=where,
        expected=expected,
        name=_name(value),
    )
    _refuse("invalid_type", message, where)


def _name(value: Any) -> str:
    return _TYPES.get(type(value), msg("something else"))


def _invalid(where: str, supported: Sequence[str]) -> Never:
    known = ", ".join(f"'{each}'" for each in supported)
    _refuse(
        "invalid_value",
        msg("Invalid value for '{where}'. Supported values are: {known}.", where=where, known=known),
        where,
    )


def _missing(name: str) -> Never:
    _refuse("missing_required_parameter", msg("Missing required parameter: '{name}'.", name=name), name)


def _refuse(code: Code, message: str, param: str | None) -> Never:
    raise Problem(400, code, message, param=param)


class ModelBody(Body):
    """A tier, as a model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsBody(Body):
    object: Literal["list"]
    data: list[ModelBody]


class AssistantMessage(Body):
    role: Literal["assistant"]
    content: str
    refusal: str | None


class ChoiceBody(Body):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: Literal["stop"]


class PromptDetailsBody(Body):
    cached_tokens: int
    cache_write_tokens: int


class CompletionDetailsBody(Body):
    reasoning_tokens: int


class UsageBody(Body):
    """All that the vendors billed for the answer: every provider's calls, gradings included."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetailsBody
    completion_tokens_details: CompletionDetailsBody


class VerdictBody(Body):
    """The fields that OpenAI's format has no place for."""

    confidence: float
    consensus: float | None
    accepted: bool
    outcome: Literal["accepted", "unsettled", "refused"]
    tier: TaskType
    simulated: bool
    cost_usd: float
    cache: Literal["hit", "miss"]
    notes: list[str]
    masked: dict[str, int]


class CompletionBody(Body):
    """A chat completion, with the verdict beside it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceBody]
    usage: UsageBody
    techsapo: VerdictBody
