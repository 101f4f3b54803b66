"""Every kind of provider with `stream: true`, against a loopback server of that vendor's stream."""

from __future__ import annotations

import asyncio

import pytest
from asking import KEY, KINDS, PRICE, QUESTION, ask, cancel, counted, make, sent_bytes
from rows import each_row
from vendors import ANSWER, INPUT_TOKENS, WHOLE, vendor
from vendors.wires import WIRES

from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.asks import AskAnswer
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError

pytestmark = pytest.mark.lab

LONGEST = 500


@each_row("kind", KINDS)
def test_a_stream_adds_up_to_the_answer_and_its_last_event_counts_the_tokens(kind: str) -> None:
    answer, seen = ask(kind, "good", stream=True)
    assert isinstance(answer, Answer), answer
    assert (answer.text, list(answer.claims)) == (ANSWER["answer"], ANSWER["claims"])
    assert answer.tokens == counted(kind)
    assert seen.asked[0].body["stream"] is True
    assert seen.asked[0].schema is not None


@each_row("kind", KINDS)
def test_without_the_option_nothing_is_streamed(kind: str) -> None:
    answer, seen = ask(kind, "good")
    assert isinstance(answer, Answer), answer
    assert not seen.asked[0].body.get("stream")


@each_row("kind", KINDS)
@each_row(
    "model, expected",
    [
        ("error-midway", FailureKind.UNAVAILABLE),
        ("busy-midway", FailureKind.RATE_LIMITED),
        ("cut-midway", FailureKind.UNAVAILABLE),
        ("ends-midway", FailureKind.UNAVAILABLE),
    ],
)
def test_a_stream_that_breaks_off_is_no_answer_and_is_charged(
    kind: str, model: str, expected: FailureKind
) -> None:
    error, seen = ask(kind, model, stream=True, max_output_tokens=LONGEST)
    assert isinstance(error, ProviderError), error
    assert error.kind is expected, error.message
    assert error.cost_usd > 0
    sent = sent_bytes(seen.asked[0])
    assert error.cost_usd <= (sent * PRICE["input"] + LONGEST * PRICE["output"]) / 1e6
    if model == "error-midway":
        assert "It went wrong" in error.message


@each_row("kind", ["anthropic", "google"])
def test_what_the_vendor_counted_before_a_stream_broke_off_is_what_it_costs(kind: str) -> None:
    error, _ = ask(kind, "cut-midway", stream=True, max_output_tokens=LONGEST)
    assert isinstance(error, ProviderError), error
    counted = {
        "anthropic": Tokens(INPUT_TOKENS, LONGEST),  # thinking is not shown, so that the most is charged
        "google": Tokens(INPUT_TOKENS, 42),
    }[kind]
    expected = (counted.input * PRICE["input"] + counted.output * PRICE["output"]) / 1e6
    assert error.cost_usd == pytest.approx(expected, rel=0.2)


@each_row("kind", KINDS)
@each_row(
    "model, expected",
    [
        ("filtered", FailureKind.REFUSED),
        ("cut-off", FailureKind.BAD_ANSWER),
        ("endless", FailureKind.BAD_ANSWER),
        ("html", FailureKind.BAD_ANSWER),
        ("unauthorized", FailureKind.REFUSED),
        ("busy", FailureKind.RATE_LIMITED),
    ],
)
def test_what_goes_wrong_in_a_stream_is_told_apart(kind: str, model: str, expected: FailureKind) -> None:
    error, seen = ask(kind, model, stream=True)
    assert isinstance(error, ProviderError), error
    assert (error.kind, model) == (expected, model), error.message
    assert KEY not in error.message
    if model == "endless":
        assert seen.dropped, "it is hung up on"
    if expected is not FailureKind.RATE_LIMITED and model != "unauthorized":
        assert error.cost_usd > 0, "it was answered, so it is billed"


@each_row("kind", KINDS)
def test_a_client_that_goes_closes_the_stream_and_no_further_token_is_generated(kind: str) -> None:
    cancel(kind, stream=True)


@each_row("kind", KINDS)
def test_a_stream_past_the_deadline_is_cut_off(kind: str) -> None:
    error, seen = ask(kind, "slow", stream=True, timeout="300ms")
    assert isinstance(error, ProviderError), error
    assert error.kind is FailureKind.TIMEOUT
    assert seen.dropped == 1


@each_row("kind", KINDS)
def test_a_whole_stream_leaves_its_connection_for_the_next_call(kind: str) -> None:
    async def main() -> None:
        async with vendor(WIRES[kind]) as seen:
            provider = make(kind, seen.url, "good", stream=True)
            for _ in range(3):
                await provider.call(AskAnswer(QUESTION))
            assert len(seen.peers) == 1
            await provider.close()

    asyncio.run(main())


@each_row("kind", KINDS)
def test_a_model_that_turns_the_schema_away_streams_without_it(kind: str) -> None:
    answer, seen = ask(kind, "no-schema", stream=True)
    assert isinstance(answer, Answer), answer
    assert [a.schema is None for a in seen.asked] == [False, True]


def test_an_endpoint_that_does_not_stream_is_read_whole() -> None:
    answer, _ = ask("openai-compatible", "never-streams", stream=True)
    assert isinstance(answer, Answer), answer
    assert answer.text == ANSWER["answer"]


@each_row("kind", [k for k in KINDS if k not in {"anthropic"}])
def test_a_stream_without_usage_is_counted_in_bytes(kind: str) -> None:
    answer, seen = ask(kind, "uncounted", stream=True)
    assert isinstance(answer, Answer), answer
    sent = sent_bytes(seen.asked[0])
    assert answer.tokens == Tokens(sent, len(WHOLE.encode()))
