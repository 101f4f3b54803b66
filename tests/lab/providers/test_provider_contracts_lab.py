"""What we send today, against stand-ins that refuse what each vendor refuses (tests/cases/vendors)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
import yaml
from asking import KEY, KINDS, ask
from rows import each_row
from vendors import ANSWER, vendor
from vendors.wires import WIRES

from techsapo_ops.render.templates import Templates
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError

pytestmark = pytest.mark.lab

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "additionalProperties": False}


def named_by_init() -> list[dict[str, Any]]:
    """The commented providers of the spec that `techsapo init` writes, without those of no vendor."""
    text = Templates().render(
        "init/techsapo.yaml.j2", project="x", grafana_password_file="g", public_url="", notifications={}
    )
    lines = re.findall(r"(?m)^#   \S+:\s+(\{kind: .*\}).*$", text)
    providers = [yaml.safe_load(line) for line in lines]
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


def test_init_names_a_model_of_every_vendor() -> None:
    assert {p["kind"] for p in named_by_init()} == set(KINDS)


def test_gemini_is_asked_by_the_version_that_knows_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1")
    answer, seen = ask("google", "gemini-3.8-flash", thinking_level="low")
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
            {"thinking_level": "minimal"},
            "Thinking level MINIMAL is not supported",
        ),
        ("google", "gemini-2.5-flash-lite", {"thinking_level": "low"}, "Thinking level is not supported"),
        ("google", "gemini-2.5-flash-lite", {"thinking_budget": 99_999}, "thinking budget 99999 is invalid"),
        ("google", "gemini-2.5-pro", {}, "gemini-2.5-pro is no longer available to new users"),
        ("google", "gemini-2.5-flash-preview-09-2025", {}, "is no longer available. Please update"),
        ("openai", "gpt-6.1-sol", {"reasoning_effort": "minimal"}, "Unsupported value: 'minimal'"),
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


@each_row(
    "kind, model, effort",
    [("openai", "gpt-6.1-sol", "max"), ("openai", "gpt-6.1-terra", "none")],
)
def test_the_efforts_of_current_models_go_along(kind: str, model: str, effort: str) -> None:
    answer, seen = ask(kind, model, reasoning_effort=effort)
    assert isinstance(answer, Answer), answer
    assert seen.asked[0].body["reasoning"] == {"effort": effort}


def post(kind: str, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """What a vendor's stand-in says to a call that we do not make."""

    async def main() -> httpx.Response:
        async with vendor(WIRES[kind]) as seen, httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.post(f"{seen.url}{path}", json=body, headers=headers)

    return asyncio.run(main())


GEMINI_KEY = {"x-goog-api-key": KEY}
CONTENTS = [{"role": "user", "parts": [{"text": "x"}]}]


def test_google_v1_refuses_the_fields_that_only_v1beta_knows() -> None:
    body = {
        "contents": CONTENTS,
        "systemInstruction": {"parts": [{"text": "y"}]},
        "generationConfig": {"responseMimeType": "application/json", "thinkingConfig": {"thinkingBudget": 0}},
    }
    told = post("google", "/v1/models/good:generateContent", body, GEMINI_KEY)
    error = told.json()["error"]
    assert (told.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["message"].splitlines() == [
        'Invalid JSON payload received. Unknown name "systemInstruction": Cannot find field.',
        "Invalid JSON payload received. Unknown name \"responseMimeType\" at 'generation_config': "
        "Cannot find field.",
        "Invalid JSON payload received. Unknown name \"thinkingConfig\" at 'generation_config': "
        "Cannot find field.",
    ]
    fields = [violation.get("field") for violation in error["details"][0]["fieldViolations"]]
    assert fields == [None, "generation_config", "generation_config"]


@each_row(
    "changed, words",
    [
        ({"prompt": "x"}, 'Unknown name "prompt": Cannot find field'),
        ({"contents": [{"parts": [{"txt": "x"}]}]}, "Unknown name \"txt\" at 'contents[0].parts[0]'"),
        (
            {"generationConfig": {"responseMimeType": "application/json", "responseSchema": SCHEMA}},
            "Unknown name \"additionalProperties\" at 'generation_config.response_schema'",
        ),
        (
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseSchema": {
                        "type": "object",
                        "properties": {"a": {"type": "string", "$ref": "#"}},
                    },
                }
            },
            "Unknown name \"$ref\" at 'generation_config.response_schema.properties[0].value'",
        ),
        ({"generationConfig": {"responseJsonSchema": SCHEMA}}, "response_mime_type"),
        (
            {
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": {**SCHEMA, "patternProperties": {}},
                }
            },
            "patternProperties is not supported",
        ),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}, "only one"),
    ],
)
def test_google_v1beta_refuses_what_its_schema_does_not_hold(changed: dict[str, Any], words: str) -> None:
    told = post(
        "google", "/v1beta/models/good:generateContent", {"contents": CONTENTS, **changed}, GEMINI_KEY
    )
    assert told.status_code == 400, told.text
    assert words in told.json()["error"]["message"]


def test_google_refuses_a_call_without_a_key_and_an_unknown_version() -> None:
    body = {"contents": CONTENTS}
    told = post("google", "/v1beta/models/good:generateContent", body, {})
    assert (told.status_code, told.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert post("google", "/v9/models/good:generateContent", body, GEMINI_KEY).status_code == 404


@each_row(
    "kind, path, body, words",
    [
        ("openai", "/responses", {"model": "m", "input": "x", "messages": []}, "'messages'"),
        ("openai", "/responses", {"model": "gpt-6.1-sol", "input": "x", "temperature": 0}, "'temperature'"),
        ("anthropic", "/v1/messages", {"model": "m", "messages": []}, "max_tokens: Field required"),
        ("anthropic", "/v1/messages", {"response_format": {}}, "response_format: Extra inputs"),
        ("anthropic", "/v1/messages", {"temperature": 0}, "`temperature` is deprecated"),
        (
            "anthropic",
            "/v1/messages",
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            '"thinking.type.enabled"',
        ),
        (
            "anthropic",
            "/v1/messages",
            {"output_config": {"format": {"type": "json_schema", "name": "x"}}},
            "output_config.format.name: Extra inputs",
        ),
    ],
)
def test_openai_and_anthropic_refuse_what_their_current_models_do_not_take(
    kind: str, path: str, body: dict[str, Any], words: str
) -> None:
    if kind == "anthropic" and "model" not in body:
        messages = [{"role": "user", "content": "x"}]
        body = {"model": "claude-sonnet-5-5", "max_tokens": 4096, "messages": messages, **body}
    keys = {"anthropic-version": "2023-06-01", "x-api-key": KEY, "Authorization": f"Bearer {KEY}"}
    told = post(kind, path, body, keys)
    assert told.status_code == 400, told.text
    assert words in told.json()["error"]["message"]


def test_an_answer_that_thinks_first_and_hides_it_is_read() -> None:
    """Claude Sonnet 5.5 thinks by default and omits what it thought: the block is there, empty."""
    whole = WIRES["anthropic"].reply("claude-sonnet-5-5", "再起動してください。")
    whole["content"][0]["thinking"] = ""
    answer, _ = ask("anthropic", "claude-sonnet-5-5", reply={"body": whole})
    assert isinstance(answer, Answer), answer
    assert answer.text == "再起動してください。"
