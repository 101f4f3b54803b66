"""What is counted of a call that fails after status 200: all that the vendor has said by then."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row

from techsapo_ops.spec.models.providers import GoogleProvider, OpenRouterProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.provider import WORST_CASE
from techsapo_ops.wallbounce.providers.anthropic import read_message
from techsapo_ops.wallbounce.providers.base import Tally
from techsapo_ops.wallbounce.providers.chat import Chunks, read_completion
from techsapo_ops.wallbounce.providers.google import KIND as GOOGLE
from techsapo_ops.wallbounce.providers.google import read_generation
from techsapo_ops.wallbounce.providers.openrouter import KIND as OPENROUTER
from techsapo_ops.wallbounce.providers.wire import Reading, WiredModel

LONGEST = 1000
USAGE = {"prompt_tokens": 900, "completion_tokens": 120, "cost": 0.0021}
ERROR = {"code": 502, "message": "Provider disconnected"}
IN_CHOICE = {"choices": [{"index": 0, "delta": {}, "message": {}, "finish_reason": "error", "error": ERROR}]}


def router() -> Any:
    spec = OpenRouterProvider.model_validate({"kind": "openrouter", "model": "m", "api_key": "sk-or-abcdef"})
    return OPENROUTER.make("p", spec, WORST_CASE)


def gemini_stream() -> Reading:
    given = {"kind": "google", "model": "m", "api_key": "AIza-abcdef", "max_output_tokens": LONGEST}
    model = GOOGLE.make("p", GoogleProvider.model_validate(given), WORST_CASE)
    assert isinstance(model, WiredModel)
    return model.reading()


@each_row("error", [{"error": ERROR}, IN_CHOICE], ids=["whole", "choice"])
@each_row("stream", [False, True])
def test_what_the_router_charges_for_a_failure_is_counted_before_it_is_raised(
    error: dict[str, Any], stream: bool
) -> None:
    tally, body, bill = Tally(), {**error, "usage": USAGE}, router().bill
    with pytest.raises(ProviderError, match="Provider disconnected") as raised:
        Chunks(bill).add(body, tally) if stream else read_completion(body, tally, bill)
    assert (raised.value.kind, raised.value.began) == (FailureKind.UNAVAILABLE, True)
    assert tally == Tally(Tokens(900, 120), 0.0021)


@each_row("usage", ["much", [7], {"prompt_tokens": {}}, {"prompt_tokens_details": "x"}, {}])
def test_a_count_that_cannot_be_read_hides_no_failure(usage: object) -> None:
    tally = Tally()
    with pytest.raises(ProviderError, match="Provider disconnected"):
        read_completion({"error": ERROR, "usage": usage}, tally, router().bill)
    assert tally.tokens is None


def test_a_completion_without_a_choice_is_counted_all_the_same() -> None:
    tally = Tally()
    with pytest.raises(IndexError):
        read_completion({"choices": [], "usage": USAGE}, tally, lambda _usage: None)
    assert tally.tokens == Tokens(900, 120)


def test_a_message_whose_content_cannot_be_read_is_counted_all_the_same() -> None:
    tally = Tally()
    with pytest.raises(TypeError):
        read_message({"content": None, "usage": {"input_tokens": 900, "output_tokens": 120}}, tally)
    assert tally.tokens == Tokens(900, 120)


def test_what_gemini_counted_before_an_error_is_counted() -> None:
    tally, usage = Tally(), {"promptTokenCount": 900, "candidatesTokenCount": 20, "thoughtsTokenCount": 100}
    with pytest.raises(ProviderError, match="busy"):
        read_generation({"error": {"code": 503, "message": "busy"}, "usageMetadata": usage}, tally)
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
    tally, reading = Tally(), gemini_stream()
    for each in pieces:
        reading.add(each, tally)
    assert tally.tokens is not None
    assert (tally.tokens.input, tally.tokens.output) == (900, output)


def test_an_error_in_a_gemini_stream_of_which_no_output_is_counted_yet_costs_the_longest_answer() -> None:
    tally, reading = Tally(), gemini_stream()
    reading.add(piece(promptTokenCount=900), tally)
    with pytest.raises(ProviderError):
        reading.add({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, tally)
    assert tally.tokens == Tokens(900, LONGEST)
