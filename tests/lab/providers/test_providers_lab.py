"""Every kind of provider against a loopback server of that vendor's wire format."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from asking import HOSTILE, KEY, KINDS, PRICE, QUESTION, ask, cancel, counted, dropped, make, sent_bytes
from rows import each_row
from vendors import ANSWER, INPUT_TOKENS, OUTPUT_TOKENS, WHOLE, vendor
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.answers import Answer, Grades, Risk, Stance, Tokens
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import AskAnswer

pytestmark = pytest.mark.lab

LONGEST = 500
CASES: dict[str, Any] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "provider_errors.yaml").read_text(encoding="utf-8")
)


BOTH_WAYS = each_row("stream", [False, True])


@each_row("kind", KINDS)
@BOTH_WAYS
def test_an_answer_in_the_schema_fills_every_field(kind: str, stream: bool) -> None:
    answer, seen = ask(kind, "good", max_output_tokens=500, stream=stream)
    assert isinstance(answer, Answer), answer
    assert answer.structured
    assert answer.text == ANSWER["answer"]
    assert (answer.root_cause, list(answer.claims)) == (ANSWER["root_cause"], ANSWER["claims"])
    assert (list(answer.commands), answer.risk) == (ANSWER["commands"], Risk.REVERSIBLE)
    assert answer.self_confidence == 0.9
    assert answer.tokens == counted(kind)
    assert answer.cost_usd == pytest.approx((INPUT_TOKENS * 2 + OUTPUT_TOKENS * 8) / 1e6)
    (asked,) = seen.asked
    assert bool(asked.body.get("stream")) is stream
    assert asked.key == KEY
    assert asked.user == QUESTION.text.replace("\ud800", "\ufffd")
    assert "日本語" in asked.system
    assert asked.schema is not None
    assert set(asked.schema["required"]) == set(ANSWER)
    assert "500" in json.dumps(asked.body), "max_output_tokens goes along"


@each_row("kind", KINDS)
@BOTH_WAYS
def test_nothing_logs_a_question_or_an_answer_at_any_level(
    kind: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer, _ = ask(kind, "good", stream=stream)
    assert isinstance(answer, Answer), answer
    assert QUESTION.text.split()[0] not in caplog.text
    assert ANSWER["root_cause"] not in caplog.text


@each_row("kind", KINDS)
def test_peers_and_critiques_are_data_that_cannot_close_its_delimiter(kind: str) -> None:
    grades, seen = ask(kind, "good", "grade")
    assert isinstance(grades, Grades), grades
    assert [g.label for g in grades.grades] == ["A", "B"]
    assert [c.stance for c in grades.grades[0].claims] == [Stance.ENTAILS, Stance.CONTRADICTS]
    assert grades.grades[1].mean == pytest.approx(9 / 12)
    assert grades.cost_usd > 0
    (asked,) = seen.asked
    assert asked.user.count("</data>") == 1
    assert HOSTILE not in asked.user
    sent = json.loads(asked.user.removeprefix("<data>\n").removesuffix("\n</data>"))
    assert sent["answers"][0]["answer"] == HOSTILE
    assert sent["own"]["claims"] == ["設定が誤り"]
    assert {key for answer in sent["answers"] for key in answer} == {
        "label", "answer", "root_cause", "claims", "commands",
    }, "no name, no model, no self-confidence"  # fmt: skip
    revised, seen = ask(kind, "good", "revise")
    assert isinstance(revised, Answer), revised
    assert seen.asked[0].user.count("</data>") == 1


@each_row("kind", KINDS)
def test_a_model_that_turns_the_schema_away_is_asked_in_words_from_then_on(kind: str) -> None:
    async def main() -> None:
        async with vendor(WIRES[kind]) as seen:
            provider = make(kind, seen.url, "no-schema")
            for _ in range(2):
                assert (await provider.call(AskAnswer(QUESTION))).structured
            assert [a.schema is None for a in seen.asked] == [False, True, True]
            assert '"root_cause"' in seen.asked[-1].system
            await provider.close()

    asyncio.run(main())


@each_row("kind", KINDS)
@each_row(
    "model, text, sure",
    [
        ("plain", "再起動してください。", 0.85),
        ("json-cut", "ディスクが一杯です。「df -h」で確認し、", None),
        ("cut-off-in-claims", ANSWER["answer"], None),
    ],
)
def test_what_does_not_keep_to_the_schema_becomes_plain_text(
    kind: str, model: str, text: str, sure: float | None
) -> None:
    answer, _ = ask(kind, model)
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.self_confidence, answer.structured) == (text, sure, False)
    assert (answer.claims, answer.risk) == ((), None)


@each_row("kind", KINDS)
@each_row("model, means", list(CASES["plays"].items()))
def test_what_goes_wrong_at_a_vendor_is_told_apart(kind: str, model: str, means: str) -> None:
    error, seen = ask(kind, model)
    assert isinstance(error, ProviderError), error
    assert error.kind == means, error.message
    assert len(seen.asked) == 1, "only our own policy retries"
    assert KEY not in error.message
    assert QUESTION.text not in error.message
    assert "\n" not in error.message
    if model == "busy":
        assert error.retry_after == 7
    if model == "busy-date":
        assert error.retry_after is not None
        assert 30 < error.retry_after <= 40
    if model.startswith("huge"):
        assert seen.sent < 8_000_000, "the body was not read to its end"
    if model == "cut-off":
        assert error.cost_usd > 0


def documented(streamed: tuple[str, ...]) -> list[Any]:
    """Each reply of the table, and those of `streamed` once more where a stream was asked for."""
    return [
        pytest.param(kind, reply, row, stream, id=f"{name}-{kind}{'-streamed' * stream}")
        for name, row in CASES["replies"].items()
        for kind, reply in row["cases"].items()
        for stream in ((False, True) if name in streamed else (False,))
    ]


@each_row("kind, reply, row, stream", documented(("rate limited", "overloaded", "error page of a proxy")))
def test_a_vendors_documented_error_means_what_the_table_says(
    kind: str, reply: dict[str, Any], row: dict[str, Any], stream: bool
) -> None:
    error, seen = ask(kind, "m", reply=reply, stream=stream)
    assert isinstance(error, ProviderError), error
    assert len(seen.asked) == 1, "only our own policy retries"
    assert KEY not in error.message
    assert error.kind == row["means"], error.message
    assert error.cause == reply.get("cause", row.get("cause", error.cause)), error.message
    assert reply.get("words", "") in error.message
    assert error.retry_after == reply.get("wait")
    assert (error.cost_usd > 0) == reply.get("billed", row.get("billed", False))


@each_row("kind", KINDS)
@each_row("model, stream", [("slow", False), ("slow", True), ("trickle", False)])
def test_a_slow_vendor_is_cut_off_at_the_deadline_and_hears_of_it(
    kind: str, model: str, stream: bool
) -> None:
    async def main() -> None:
        async with vendor(WIRES[kind]) as seen:
            provider = make(kind, seen.url, model, timeout="300ms", attempts=3, stream=stream)
            await provider.warm()
            with pytest.raises(ProviderError) as caught:
                await provider.call(AskAnswer(QUESTION))
            assert caught.value.kind is FailureKind.TIMEOUT
            await dropped(seen)
            await provider.close()

    asyncio.run(main())


@each_row("kind", KINDS)
@BOTH_WAYS
def test_a_cancelled_call_closes_its_socket_and_no_further_token_is_generated(
    kind: str, stream: bool
) -> None:
    cancel(kind, stream=stream)


@each_row("kind", [k for k in KINDS if k != "anthropic"])  # its usage is not optional
@BOTH_WAYS
def test_where_nothing_is_counted_the_cost_is_the_upper_bound(kind: str, stream: bool) -> None:
    answer, seen = ask(kind, "uncounted", stream=stream)
    assert isinstance(answer, Answer), answer
    assert answer.tokens == Tokens(sent_bytes(seen.asked[0]), len(WHOLE.encode()))


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
@each_row("model", ["endless", "html"])
def test_a_stream_without_end_or_of_another_form_is_no_answer_and_is_billed(kind: str, model: str) -> None:
    error, seen = ask(kind, model, stream=True)
    assert isinstance(error, ProviderError), error
    assert error.kind is FailureKind.BAD_ANSWER, error.message
    assert KEY not in error.message
    assert error.cost_usd > 0
    if model == "endless":
        assert seen.dropped, "it is hung up on"


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


def test_an_endpoint_that_does_not_stream_is_read_whole() -> None:
    answer, _ = ask("openai-compatible", "never-streams", stream=True)
    assert isinstance(answer, Answer), answer
    assert answer.text == ANSWER["answer"]
