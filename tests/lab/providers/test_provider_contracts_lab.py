"""What we send today, against stand-ins that refuse what each vendor refuses (tests/cases/vendors)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asking import KEY, KINDS, ask
from rows import each_row
from vendors import ANSWER
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.render.templates import Templates
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError

pytestmark = pytest.mark.lab


def named_by_init() -> list[dict[str, Any]]:
    """The commented providers of the spec that `techsapo init` writes, without those of no vendor."""
    text = Templates().render(
        "init/techsapo.yaml.j2", project="x", grafana_password_file="g", public_url="", notifications={}
    )
    lines = re.findall(r"(?m)^#   \S+:\s+(\{kind: .*\}).*$", text)
    providers = [read_yaml(line) for line in lines]
    return [p for p in providers if p["kind"] in KINDS]


@each_row("stream", [False, True])
@each_row("provider", named_by_init(), ids=lambda p: p["kind"])
def test_each_model_that_init_names_is_asked_as_its_vendor_takes_it(
    provider: dict[str, Any], stream: bool
) -> None:
    options = {k: v for k, v in provider.items() if k not in {"kind", "model", "base_url", "api_key"}}
    answer, seen = ask(provider["kind"], provider["model"], stream=stream, **options)
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.structured) == (ANSWER["answer"], True)
    assert not seen.refused
    assert len(seen.asked) == 1, "the schema was not turned away either"


def test_gemini_is_asked_by_the_version_that_knows_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1")
    answer, seen = ask("google", "gemini-3.8-flash", effort="low")
    assert isinstance(answer, Answer), answer
    assert seen.paths == ["/v1beta/models/gemini-3.8-flash:generateContent"]
    (asked,) = seen.asked
    assert asked.key == KEY
    assert asked.system
    config = asked.body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["thinkingConfig"] in ({"thinking_level": "LOW"}, {"thinkingLevel": "LOW"})


@each_row(
    "kind, model, options, words",
    [
        (
            "google",
            "gemini-3.8-flash",
            {"effort": "minimal"},
            "Thinking level MINIMAL is not supported",
        ),
        ("google", "gemini-2.5-flash-lite", {"effort": "low"}, "Thinking level is not supported"),
        (
            "google",
            "gemini-2.5-flash-lite",
            {"extra_body": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 99_999}}}},
            "thinking budget 99999 is invalid",
        ),
        ("google", "gemini-2.5-pro", {}, "gemini-2.5-pro is no longer available to new users"),
        ("google", "gemini-2.5-flash-preview-09-2025", {}, "is no longer available. Please update"),
        ("openai", "gpt-6.1-sol", {"effort": "minimal"}, "Unsupported value: 'minimal'"),
        ("openai", "o4-mini", {}, "model_not_found"),
        ("anthropic", "claude-opus-4-1", {}, "not_found_error"),
    ],
)
def test_what_a_model_does_not_take_is_a_refusal_in_the_vendors_words(
    kind: str, model: str, options: dict[str, Any], words: str
) -> None:
    error, seen = ask(kind, model, **options)
    assert isinstance(error, ProviderError), error
    assert error.kind is FailureKind.REFUSED
    assert words in error.message
    assert len(seen.refused) == 1, "asking again would not help"
    assert error.cost_usd == 0


def test_an_answer_that_thinks_first_and_hides_it_is_read() -> None:
    """Claude Sonnet 5.5 thinks by default and omits what it thought: the block is there, empty."""
    whole = WIRES["anthropic"].reply("claude-sonnet-5-5", "再起動してください。")
    whole["content"][0]["thinking"] = ""
    answer, _ = ask("anthropic", "claude-sonnet-5-5", reply={"body": whole})
    assert isinstance(answer, Answer), answer
    assert answer.text == "再起動してください。"
