"""How a vendor's reply ends, and what it counts, by tests/cases/vendor_replies.yaml, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.providers import Provider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import ProviderError
from techsapo_ops.wallbounce.provider import WORST_CASE
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.chat import without_thoughts
from techsapo_ops.wallbounce.providers.kinds import KINDS
from techsapo_ops.wallbounce.providers.reading import Reading
from techsapo_ops.wallbounce.providers.wire import WiredModel

CASES: dict[str, Any] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "vendor_replies.yaml").read_text(encoding="utf-8")
)
SECTIONS: TypeAdapter[Any] = TypeAdapter(Provider)


def rows() -> Iterator[Any]:
    for row in CASES["rows"]:
        for each in row.get("each", [""]):
            made = json.loads(json.dumps(row).replace('"EACH"', json.dumps(each)))
            yield pytest.param(made, id=f"{row['kind']}-{json.dumps(made['reply'])[:70]}")


def model_of(kind: str) -> WiredModel:
    section = SECTIONS.validate_python({"kind": kind, "model": "m", "base_url": "http://127.0.0.1/v1"})
    model = KINDS[kind]("p", section, WORST_CASE)
    assert isinstance(model, WiredModel)
    return model


def overlaid(whole: Any, changed: Any) -> Any:
    """`whole` with what is `changed`; the first entry of a list by the first one."""
    if isinstance(whole, dict) and isinstance(changed, dict):
        return {**whole, **{key: overlaid(whole.get(key), value) for key, value in changed.items()}}
    if isinstance(whole, list) and isinstance(changed, list) and len(whole) == len(changed) == 1:
        return [overlaid(whole[0], changed[0])]
    return changed


def pieces(text: str) -> list[str]:
    """One character each, so that no tag is in one piece."""
    return list(text)


def streamed(kind: str, whole: Any) -> Iterator[Any]:
    """The events of a stream that adds up to `whole`."""
    if kind == "openai":
        yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}
        yield {"type": "response.output_text.delta", "delta": "ans"}
        last = {"completed": "completed", "failed": "failed"}.get(whole["status"], "incomplete")
        yield {"type": f"response.{last}", "response": whole}
    elif kind == "anthropic":
        usage = {**whole["usage"], "output_tokens": 1, "output_tokens_details": None}
        yield {"type": "message_start", "message": {**whole, "content": [], "usage": usage}}
        yield {"type": "ping"}
        for block in whole["content"]:
            yield {"type": "content_block_start", "content_block": {**block, "text": ""}}
            if block["type"] == "thinking":
                yield {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}}
                yield {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}}
            for piece in pieces(block.get("text", "")):
                yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}
        told = {key: whole.get(key) for key in ("stop_reason", "stop_details")}
        counted = {key: whole["usage"][key] for key in ("output_tokens", "output_tokens_details")}
        yield {"type": "message_delta", "delta": told, "usage": counted}
        yield {"type": "message_stop"}
    elif kind == "google":
        for candidate in whole["candidates"] or ():
            for part in candidate["content"]["parts"] or ():
                for piece in pieces(part["text"]):
                    yield {"candidates": [{"content": {"parts": [{**part, "text": piece}]}}]}
        yield {**whole, "candidates": [{**c, "content": {}} for c in whole["candidates"] or ()]}
    else:
        (choice,) = whole["choices"]
        message, rest = choice["message"], {k: v for k, v in choice.items() if k != "message"}
        thought = {k: v for k, v in message.items() if k not in {"content", "refusal"}}
        yield {"choices": [{"index": 0, "delta": thought, "finish_reason": None}]}
        content = message.get("content")
        if isinstance(content, list):
            yield {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]}
        else:
            for piece in pieces(content or ""):
                yield {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{**rest, "delta": {}}]}
        yield {"choices": [], "usage": whole["usage"]}


def read(row: dict[str, Any], stream: bool) -> tuple[Completion | ProviderError, Tally]:
    kind = row["kind"]
    whole = overlaid(CASES["whole"][kind], row["reply"])
    model, tally = model_of(kind), Tally()
    try:
        if not stream:
            return model.read(whole, tally), tally
        reading = Reading(model)
        for event in streamed(kind, whole):
            reading.begun = True
            reading.add(event, tally)
        reading.done = kind in {"openai-compatible", "openrouter"}
        return reading.reply(tally), tally
    except ProviderError as error:
        return error, tally


BOTH_WAYS = [
    pytest.param(*row.values, stream, id=f"{row.id}-{'streamed' if stream else 'whole'}")
    for row in rows()
    for stream in (False, True)
    if not (stream and row.values[0].get("whole_alone"))
]


@each_row("row, stream", BOTH_WAYS)
def test_an_ending_means_what_the_table_says(row: dict[str, Any], stream: bool) -> None:
    found, tally = read(row, stream)
    if isinstance(found, ProviderError):
        assert found.kind == row["means"], found.message
        assert row.get("words", "") in found.message
    else:
        assert ("whole" if found.complete else "cut off") == row["means"]
        assert row.get("words", "") in found.why
        assert bool(found.why) == bool(row.get("words"))
        assert found.text == row.get("text", "answer")
    if "tokens" in row:
        assert tally.tokens == Tokens(*row["tokens"])
    if "billed_usd" in row:
        billed = tally.billed_usd
        assert billed == (None if row["billed_usd"] is None else pytest.approx(row["billed_usd"]))


@pytest.mark.timeout(10)
def test_a_hundred_thousand_thoughts_take_no_time() -> None:
    """A reply may have 2 MiB; copying what is left after each would take minutes."""
    assert without_thoughts("<think></think>" * 130_000 + "answer") == "answer"
