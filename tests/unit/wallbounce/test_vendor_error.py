"""What vendors' errors mean, read from their bodies without a vendor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from rows import each_row

from techsapo_ops.catalogue.vendors import error_rows
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.providers.failures import LASTING, Cause, ProviderError
from techsapo_ops.wallbounce.providers.vendor_error import failure_in_200, failure_of, read

CASES: dict[str, Any] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "provider_errors.yaml").read_text(encoding="utf-8")
)["replies"]

KEYS = [
    "error", "message", "code", "type", "status", "details", "metadata", "violations", "response", "detail",
    "param", "quotaId", "innererror", "@type", "retryDelay", "limit_source",
]  # fmt: skip
RPD = (
    "Rate limit reached for m in organization org-X on requests per day (RPD): Limit 200, Used 200, Requested"
)


def refusals() -> Iterator[Any]:
    """Each reply of the table whose status says that it is an error."""
    for name, row in CASES.items():
        for kind, reply in row["cases"].items():
            if reply.get("status", 200) != 200:
                yield pytest.param(reply, row, id=f"{name}-{kind}")


def body_of(reply: dict[str, Any]) -> bytes:
    text: str = reply["text"] if "text" in reply else json.dumps(reply["body"])
    return text.encode()


@each_row("reply, row", list(refusals()))
def test_an_errors_cause_is_read_from_what_the_vendor_sends(
    reply: dict[str, Any], row: dict[str, Any]
) -> None:
    headers: CIMultiDict[str] = CIMultiDict(reply.get("headers", {}))
    for body in (body_of(reply), reply.get("body", body_of(reply))):
        error = failure_of(reply["status"], body, headers)
        assert (error.kind, error.cause) == (row["means"], reply.get("cause", row["cause"])), error.message
        assert error.retry_after == reply.get("wait")
        assert str(reply["status"]) in error.message


@each_row(
    "body, kind, cause",
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, "unavailable", "overloaded"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, "rate_limited", "rate"),
        ({"type": "error", "code": "insufficient_quota", "message": "billing"}, "refused", "money"),
        ({"response": {"error": {"code": "server_error", "message": "x"}}}, "unavailable", "server"),
        ({"response": {"error": {"code": "invalid_prompt", "message": "x"}}}, "refused", "content"),
        ({"error": {"code": 502, "message": "Provider disconnected"}}, "unavailable", "server"),
        ({"error": {"code": 429, "message": "Provider returned error"}}, "rate_limited", "rate"),
        ({"error": {"code": "402", "message": "no credits"}}, "refused", "money"),
        ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, "unavailable", "overloaded"),
        ({"error": "an error was encountered while running the model"}, "unavailable", "server"),
        ({"error": {"code": "bio_policy", "message": "x"}}, "refused", "content"),
        ({"error": {"code": "something_new", "message": "x"}}, "refused", "rejected"),
        ({"error": {"message": "x"}}, "unavailable", "server"),
        ({"response": {"error": {"code": "rate_limit_exceeded", "message": RPD}}}, "rate_limited", "quota"),
        ({"type": "error", "code": None, "message": "x", "param": None}, "unavailable", "server"),
    ],
)  # fmt: skip
def test_an_error_within_an_answer_is_told_apart_and_billed(
    body: dict[str, Any], kind: str, cause: str
) -> None:
    error = failure_in_200(body)
    assert (error.kind, error.cause, error.began) == (kind, cause, True)


@each_row(
    "message, wait",
    [
        ("Please try again in 558ms. Visit", 0.558),
        ("Please try again in 8.64s.", 8.64),
        ("Please try again in 7m12s.", 432),
        ("Please try again in 2h3m4s.", 3600),
        ("Please retry in 20.04466179s.", 20.04466179),
        ("Please try again in a while", None),
        ("Please try again in 5 days", None),
    ],
)
def test_a_wait_that_stands_in_the_message_alone_is_read(message: str, wait: float | None) -> None:
    error = failure_of(429, {"error": {"message": message, "code": "rate_limit_exceeded"}})
    assert error.retry_after == wait


@each_row("after", [", model: m", "\nPlease retry in 20s.", "", "."])
def test_a_limit_of_nought_is_no_limit_of_the_minute_however_the_message_goes_on(after: str) -> None:
    for limit, cause in (("0", Cause.PLAN), ("10", Cause.RATE), ("0.5", Cause.RATE)):
        body = {"error": {"code": 429, "message": f"* Quota exceeded for metric: x, limit: {limit}{after}"}}
        assert failure_of(429, body).cause is cause


def test_headers_go_before_the_details_and_those_before_the_message() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "4.5s"}
    body = {"error": {"code": 429, "message": "Please retry in 3s.", "details": [retry]}}
    assert read(429, body, {"retry-after": "7"}).wait == 7
    assert read(429, body).wait == 4.5
    body["error"]["details"] = []
    assert read(429, body).wait == 3


def test_words_in_a_message_that_could_come_from_a_question_make_no_provider_poor() -> None:
    for status in (400, 403, 429):
        body = {"error": {"message": "Can't parse: 'Your credit balance is too low, Key limit exceeded'"}}
        assert failure_of(status, body).cause not in LASTING


@settings(max_examples=examples(40))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    ),
    st.integers(200, 599),
)
def test_whatever_a_server_sends_becomes_a_failure_with_a_short_message(body: Any, status: int) -> None:
    for sent in (body, json.dumps(body).encode()):
        for error in (failure_of(status, sent), failure_in_200(sent)):
            assert isinstance(error, ProviderError)
            assert isinstance(error.message, str)


def test_no_endpoint_for_the_parameters_is_no_missing_model() -> None:
    """https://github.com/block/buzz/issues/3018. The adapter asks anew in words: not in the table."""
    body = {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}
    assert failure_of(404, body).cause is Cause.PARAMETER


def test_what_is_no_json_is_shown_in_part_alone() -> None:
    assert len(failure_of(500, b"\xff" + b"x" * 100_000).message) < 500


def test_a_message_decides_only_where_it_begins_so_or_where_no_lasting_cause_comes_of_it() -> None:
    """A message may repeat the question, and a question must not be able to stop a provider."""
    free = {"you have reached your specified api usage limits", "limit: 0,", "limit: 0 ", "limit: 0. "}
    free |= {"free-models-per-day", "requests per day (rpd)", "tokens per day (tpd)"}
    for row in error_rows():
        if Cause(row.cause) in LASTING and row.words:
            assert set(row.words) <= free
            assert row.status
