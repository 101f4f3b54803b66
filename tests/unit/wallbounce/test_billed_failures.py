"""What is counted of a call that fails after status 200: all that the vendor has said by then."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row
from test_vendor_requests import made

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.base import Tally
from techsapo_ops.wallbounce.providers.reading import Reading

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
