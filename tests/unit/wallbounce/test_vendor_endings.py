"""How a vendor's reply ends, and what it counts, by tests/cases/vendor_replies.yaml, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from rows import each_row
from test_vendor_requests import made

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.providers import Provider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.base import Completion, Tally
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.openai import without_thoughts
from techsapo_ops.wallbounce.providers.provider import WORST_CASE
from techsapo_ops.wallbounce.providers.reading import Reading
from techsapo_ops.wallbounce.providers.registry import KINDS
from techsapo_ops.wallbounce.providers.wire import WiredModel

FOLDER = Path(__file__).parents[2] / "cases"
CASES: dict[str, Any] = read_yaml((FOLDER / "vendor_replies.yaml").read_text(encoding="utf-8"))
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


def streamed(kind: str, whole: Any) -> Iterator[Any]:
    """The events of a stream that adds up to `whole`: a character each, so that no tag is in one piece."""
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
            for piece in block.get("text", ""):
                yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}
        told = {key: whole.get(key) for key in ("stop_reason", "stop_details")}
        counted = {key: whole["usage"][key] for key in ("output_tokens", "output_tokens_details")}
        yield {"type": "message_delta", "delta": told, "usage": counted}
        yield {"type": "message_stop"}
    elif kind == "google":
        for candidate in whole["candidates"] or ():
            for part in candidate["content"]["parts"] or ():
                for piece in part["text"]:
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
            for piece in content or "":
                yield {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{**rest, "delta": {}}]}
        named = {key: whole[key] for key in ("model", "system_fingerprint") if key in whole}
        yield {**named, "choices": [], "usage": whole["usage"]}


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
    if "version" in row:
        assert tally.version == row["version"]
    if "tokens" in row:
        assert tally.tokens == Tokens(*row["tokens"])
    if "billed_usd" in row:
        billed = tally.billed_usd
        assert billed == (None if row["billed_usd"] is None else pytest.approx(row["billed_usd"]))


@pytest.mark.timeout(10)
def test_a_hundred_thousand_thoughts_take_no_time() -> None:
    """A reply may have 2 MiB; copying what is left after each would take minutes."""
    assert without_thoughts("<think></think>" * 130_000 + "answer") == "answer"


def of_the_vendors() -> Iterator[tuple[str, dict[str, Any]]]:
    """Replies that end in each word that a vendor has for it, by its table, and in one of next year."""
    for kind in CASES["whole"]:
        name, field = {"openai-compatible": ("openai", "chat"), "openai": ("openai", "incomplete")}.get(
            kind, (kind, {"anthropic": "stop_reason", "google": "finishReason"}.get(kind, "finish_reason"))
        )
        table = read_yaml((FOLDER / "vendors" / f"{name}.yaml").read_text(encoding="utf-8"))
        for reason in (*table["finish"][field], "a_reason_of_next_year"):
            yield (
                kind,
                {
                    "openai": {"status": "incomplete", "incomplete_details": {"reason": reason}},
                    "anthropic": {"stop_reason": reason},
                    "google": {"candidates": [{"finishReason": reason}]},
                }.get(kind, {"choices": [{"finish_reason": reason}]}),
            )


@each_row("stream", [False, True])
@each_row("kind, reply", list(of_the_vendors()))
def test_whatever_word_a_vendor_has_for_the_end_there_is_an_answer_or_a_failure_that_says_why(
    kind: str, reply: dict[str, Any], stream: bool
) -> None:
    found, tally = read({"kind": kind, "reply": reply}, stream)
    assert tally.tokens is not None, "it was answered, so it is billed"
    if isinstance(found, ProviderError):
        assert found.kind is not FailureKind.UNAVAILABLE or reply == {"choices": [{"finish_reason": "error"}]}
    else:
        assert found.text == "answer"


LONGEST = 1000
USAGE = {"prompt_tokens": 900, "completion_tokens": 120, "cost": 0.0021}
ERROR = {"code": 502, "message": "Provider disconnected"}
IN_CHOICE = {"choices": [{"index": 0, "delta": {}, "message": {}, "finish_reason": "error", "error": ERROR}]}


ROUTER = made({"kind": "openrouter", "model": "m"})
GEMINI = made({"kind": "google", "model": "m", "max_output_tokens": LONGEST})


@each_row("error", [{"error": ERROR}, IN_CHOICE], ids=["whole", "choice"])
@each_row("stream", [False, True])
def test_what_the_router_charges_for_a_failure_is_counted_before_it_is_raised(
    error: dict[str, Any], stream: bool
) -> None:
    tally, body = Tally(), {**error, "usage": USAGE}
    with pytest.raises(ProviderError, match="Provider disconnected") as raised:
        Reading(ROUTER).add(body, tally) if stream else ROUTER.read(body, tally)
    assert (raised.value.kind, raised.value.began) == (FailureKind.UNAVAILABLE, True)
    assert tally == Tally(Tokens(900, 120), 0.0021)


@each_row("usage", ["much", [7], {"prompt_tokens": {}}, {"prompt_tokens_details": "x"}, {}])
def test_a_count_that_cannot_be_read_hides_no_failure(usage: object) -> None:
    tally = Tally()
    with pytest.raises(ProviderError, match="Provider disconnected"):
        ROUTER.read({"error": ERROR, "usage": usage}, tally)
    assert tally.tokens is None


def test_a_completion_without_a_choice_is_counted_all_the_same() -> None:
    tally = Tally()
    with pytest.raises(IndexError):
        ROUTER.read({"choices": [], "usage": USAGE}, tally)
    assert tally.tokens == Tokens(900, 120)


def test_a_message_whose_content_cannot_be_read_is_counted_all_the_same() -> None:
    tally, claude = Tally(), made({"kind": "anthropic", "model": "m"})
    with pytest.raises(TypeError):
        claude.read({"content": None, "usage": {"input_tokens": 900, "output_tokens": 120}}, tally)
    assert tally.tokens == Tokens(900, 120)


def test_what_gemini_counted_before_an_error_is_counted() -> None:
    tally, usage = Tally(), {"promptTokenCount": 900, "candidatesTokenCount": 20, "thoughtsTokenCount": 100}
    with pytest.raises(ProviderError, match="busy"):
        GEMINI.read({"error": {"code": 503, "message": "busy"}, "usageMetadata": usage}, tally)
    assert tally.tokens == Tokens(900, 120, thinking=100)


def piece(finish: str | None = None, **usage: int) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": "x"}]}, **({"finishReason": finish} if finish else {})}
    return {"candidates": [candidate], **({"usageMetadata": usage} if usage else {})}


@each_row(
    "pieces, output",
    [
        ([piece(promptTokenCount=900)], LONGEST),
        ([piece(promptTokenCount=900), piece()], LONGEST),
        ([piece(promptTokenCount=900), piece(promptTokenCount=900, candidatesTokenCount=42)], 42),
        ([piece(promptTokenCount=900, thoughtsTokenCount=300)], 300),
        ([piece(promptTokenCount=900), piece("STOP", promptTokenCount=900, candidatesTokenCount=60)], 60),
        ([piece(promptTokenCount=900), piece("STOP")], 0),
        ([piece("STOP"), piece(promptTokenCount=900, candidatesTokenCount=60)], 60),
    ],
)
def test_a_gemini_stream_of_which_no_output_is_counted_yet_costs_the_longest_answer_until_it_ends(
    pieces: list[dict[str, Any]], output: int
) -> None:
    tally, reading = Tally(), Reading(GEMINI)
    for each in pieces:
        reading.add(each, tally)
    assert tally.tokens is not None
    assert (tally.tokens.input, tally.tokens.output) == (900, output)


def test_an_error_in_a_gemini_stream_of_which_no_output_is_counted_yet_costs_the_longest_answer() -> None:
    tally, reading = Tally(), Reading(GEMINI)
    reading.add(piece(promptTokenCount=900), tally)
    with pytest.raises(ProviderError):
        reading.add({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, tally)
    assert tally.tokens == Tokens(900, LONGEST)
