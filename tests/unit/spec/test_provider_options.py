"""Providers in the spec: options of today's models, headers, whose values are secrets, and announced ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from rows import each_row

from techsapo_ops.masking import MASK
from techsapo_ops.spec.load import LoadedSpec, SpecError
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.providers import answer_length
from techsapo_ops.spec.redact import (
    as_given,
    open_secrets,
    resolved,
    secrets_of,
    to_yaml_data,
    written_secrets,
)

Loader = Callable[..., LoadedSpec]

OTHER = "".join(f"  {n}: {{kind: openai-compatible, model: m, base_url: 'http://{n}/v1'}}\n" for n in "bc")
CLAUDE = "kind: anthropic, model: claude-sonnet-5-5, api_key: k"
OLD_CLAUDE = "kind: anthropic, model: claude-x, api_key: k"
GEMINI = "kind: google, model: gemini-3.8-flash, api_key: k"
ROUTED = "kind: openrouter, model: a/b, api_key: k"
LOCAL = "kind: openai-compatible, model: m, base_url: 'http://127.0.0.1/v1'"


def text(provider: str) -> str:
    return f"project: x\nproviders:\n  a: {{{provider}}}\n{OTHER}"


def errors(loaded: Loader, provider: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(text(provider))
    return [str(p) for p in caught.value.problems]


@each_row(
    "provider, words",
    [
        (f"{CLAUDE}, effort: loud", "effort: must be none, "),
        (
            f"{LOCAL}, extra_body: {{model: other}}",
            "providers.a.extra_body.model: model is set automatically in each call",
        ),
        (f"{LOCAL}, extra_body: {{messages: []}}", "messages is set automatically in each call"),
        (f"{LOCAL}, extra_body: {{stream: true}}", "stream is set automatically in each call"),
        (
            f"{LOCAL}, extra_body: {{max_completion_tokens: 9}}",
            "max_completion_tokens is set automatically in each call",
        ),
        (f"{LOCAL}, extra_body: {{'n': 3}}", "n is set automatically in each call"),
        (f"{GEMINI}, extra_body: {{generationConfig: {{maxOutputTokens: 9}}}}", "generationConfig.maxO"),
        (
            f"{GEMINI}, extra_body: {{generationConfig: 5}}",
            "generationConfig is set automatically in each call",
        ),
        (f"{LOCAL}, headers: {{Content-Length: '9'}}", "Content-Length is set automatically in each call"),
        (f"{LOCAL}, headers: {{'a b': x}}", "is not a header name"),
        (f'{LOCAL}, headers: {{X-A: "a\\r\\nX-B: b"}}', "must be on one line"),
        (f"{LOCAL}, headers: {{X-A: 秘密}}", "in ASCII"),
        (f"{LOCAL}, headers: {{X-A: a, x-a: b}}", "X-A and x-a are the same header"),
        (f"{LOCAL}, headers: {{X-A: 5}}", "must be text; put the value in quotes"),
    ],
)
def test_what_no_model_takes_is_an_error(provider: str, words: str, loaded: Loader) -> None:
    (error,) = errors(loaded, provider)
    assert words in error


@each_row(
    "provider, words",
    [
        (
            "kind: openai, model: gpt-6.1-sol, api_key: k, effort: minimal",
            "gpt-6.1-sol is not known to accept effort: minimal "
            "(as read on 2026-11-26, not confirmed by the vendor); "
            "accepted values: low, medium, high, xhigh, max",
        ),
        (f"{CLAUDE}, effort: minimal", "accepted values: low, medium, high, xhigh, max; without effort"),
        (f"{GEMINI}, effort: minimal", "accepted values: low, medium, high"),
        (
            "kind: google, model: gemini-2.5-flash-lite, api_key: k, effort: low",
            "is not known to accept effort (as read on 2026-09-25, not confirmed by the vendor); without",
        ),
    ],
)
def test_what_a_known_model_does_not_take_is_a_warning_with_what_it_takes(
    provider: str, words: str, loaded: Loader
) -> None:
    told = [str(w) for w in loaded(text(provider)).warnings]
    assert any(words in warning for warning in told), told
    assert len(told) == 1


@each_row(
    "provider",
    [
        "kind: openai, model: gpt-6.1-sol, api_key: k, effort: max",
        "kind: openai, model: of-next-year, api_key: k, effort: minimal",
        "kind: openai, model: gpt-6.1-sol, effort: minimal, headers: {api-key: k}, "
        "base_url: 'https://r.openai.azure.com/openai/v1'",
        f"{CLAUDE}, effort: high, extra_body: {{thinking: {{type: between_tools}}}}",
        f"{OLD_CLAUDE}, extra_body: {{thinking: {{type: enabled, budget_tokens: 1024}}}}",
        f"{GEMINI}, effort: high",
        f"{ROUTED}, effort: low, extra_body: {{provider: {{order: [one], zdr: true}}}}",
        f"{ROUTED}, extra_body: {{provider: {{sort: price}}, reasoning: {{summary: auto}}}}",
        f"{LOCAL}, effort: none, extra_body: {{chat_template_kwargs: {{model: x}}, seed: 1}}",
        f"{GEMINI}, extra_body: {{generationConfig: {{seed: 1}}}}",
        "kind: google, model: gemini-3.8-flash, headers: {Authorization: Bearer t}, "
        "base_url: 'https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google'",
    ],
)
def test_what_is_taken_is_taken_without_a_word(provider: str, loaded: Loader) -> None:
    assert [str(w) for w in loaded(text(provider)).warnings] == []


HEADED = f"{LOCAL}, headers: {{api-key: s3cret-value, X-Org_file: org.txt, X-Var: '${{ORG_KEY}}'}}"


@pytest.fixture
def headed(loaded: Loader) -> LoadedSpec:
    return loaded(text(HEADED), env={"ORG_KEY": "env-s3cret"}, files={"org.txt": "org-s3cret\n"})


def test_headers_are_read_from_the_spec_a_file_and_a_variable(headed: LoadedSpec) -> None:
    held = headed.spec.providers["a"].headers  # type: ignore[union-attr]
    assert held is not None
    assert {name: value.reveal() for name, value in held.items()} == {
        "api-key": "s3cret-value", "X-Org": "org-s3cret", "X-Var": "env-s3cret",
    }  # fmt: skip


def test_no_value_of_a_header_is_shown(headed: LoadedSpec) -> None:
    shown = resolved(headed.spec)
    assert shown["providers"]["a"]["headers"] == {"api-key": MASK, "X-Org_file": "org.txt", "X-Var": MASK}
    for told in (str(shown), repr(headed.spec), headed.spec.model_dump_json()):
        assert "s3cret" not in told


def test_the_app_gets_each_header_by_a_file_of_its_own(headed: LoadedSpec, loaded: Loader) -> None:
    files: dict[str, str] = {}

    def file_for(path: str) -> str:
        files[f"secrets/{len(files)}"] = secrets_of(headed.spec)[path].reveal()
        return list(files)[-1]

    copy = yaml.safe_dump(to_yaml_data(headed.spec, file_for))
    assert len([text for text in files.values() if "s3cret" in text]) == 3
    assert "s3cret" not in copy
    again = loaded(copy, files=files).spec.providers["a"].headers  # type: ignore[union-attr]
    assert again == headed.spec.providers["a"].headers  # type: ignore[union-attr]


def test_the_ledger_keeps_headers_as_given_and_forgets_them(headed: LoadedSpec) -> None:
    given = as_given(headed.spec)
    assert given["providers"]["a"]["headers"] == {
        "api-key": "s3cret-value", "X-Org_file": "org.txt", "X-Var": "env-s3cret",
    }  # fmt: skip
    assert {"s3cret-value", "env-s3cret"} <= written_secrets(given)
    assert "org.txt" not in written_secrets(given)


IN_BODY = (
    f"{LOCAL}, extra_body: {{user: {{api_key: s3cret-value, pin_token: 4711}}, budget_tokens: 1024, seed: 7}}"
)


def test_what_sounds_secret_in_an_extra_body_is_masked_and_known_as_a_secret(loaded: Loader) -> None:
    spec = loaded(text(IN_BODY)).spec
    assert resolved(spec)["providers"]["a"]["extra_body"] == {
        "user": {"api_key": MASK, "pin_token": MASK}, "budget_tokens": 1024, "seed": 7,
    }  # fmt: skip
    assert written_secrets(as_given(spec)) == {"s3cret-value", "4711"}
    assert open_secrets(spec, {}) == {"s3cret-value", "4711"}
    assert to_yaml_data(spec, str)["providers"]["a"]["extra_body"]["user"]["api_key"] == "s3cret-value"


def test_a_variable_of_a_header_that_is_not_set_leaves_the_provider_out(loaded: Loader) -> None:
    found = loaded(text(HEADED), files={"org.txt": "org-s3cret"})
    assert found.disabled == {"a": "ORG_KEY is not set"}


def test_a_file_of_a_header_that_is_not_there_is_named(loaded: Loader) -> None:
    (told,) = errors(loaded, HEADED.replace("${ORG_KEY}", "x"))
    assert "providers.a.headers.X-Org_file: cannot read" in told


def test_a_header_and_its_file_are_one_too_many(loaded: Loader) -> None:
    (error,) = errors(loaded, f"{LOCAL}, headers: {{X-A: one, X-A_file: two}}")
    assert "X-A and X-A_file are both set" in error


def test_headers_by_plain_http_to_another_host_are_a_warning_as_a_key_is(loaded: Loader) -> None:
    given = "kind: openai-compatible, model: m, base_url: 'http://gpu.example.com/v1', headers: {X-A: one}"
    (warning,) = [str(w) for w in loaded(text(given)).warnings]
    assert "plain http" in warning


@each_row(
    "provider, tokens",
    [
        ("kind: openai, model: gpt-6.1-sol, api_key: k", 16_384),
        ("kind: openai, model: gpt-4.1, api_key: k", 4096),
        ("kind: openai, model: not-yet-known, api_key: k", 16_384),
        ("kind: openrouter, model: openai/gpt-4o, api_key: k", 4096),
        ("kind: openai-compatible, model: qwen3, base_url: 'http://a/v1'", 4096),
        ("kind: openai, model: gpt-6.1-sol, api_key: k, max_output_tokens: 700", 700),
    ],
)
def test_a_model_that_can_think_has_room_for_it_and_what_the_spec_says_holds(
    loaded: Loader, provider: str, tokens: int
) -> None:
    section = loaded(text(provider)).spec.providers["a"]
    assert isinstance(section, ModelProvider)
    assert answer_length(section) == tokens


def warnings(loaded: Loader, provider: str) -> list[str]:
    return [str(w) for w in loaded(text(provider), env={"MODEL": "gpt-5", "KEY": "k"}).warnings]


@each_row(
    "provider, words",
    [
        ("kind: openai, model: gpt-5, api_key: k", "2026-12-11"),
        (
            "kind: google, model: gemini-2.5-pro, api_key: k",
            "(as read on 2026-11-12, not confirmed by the vendor)",
        ),
        ("kind: claude-agent, model: claude-sonnet-4-5", "2026-11-30"),
        ("kind: openai, model: gpt-5-mini-2025-08-07, api_key: k", "the vendor names gpt-6.1-terra"),
        ("kind: openai, model: '${MODEL}', api_key: k", "announced that the value of ${MODEL} retires on"),
    ],
)
def test_each_vendors_announcements_are_known(provider: str, words: str, loaded: Loader) -> None:
    (warning,) = warnings(loaded, provider)
    assert words in warning


@each_row(
    "provider",
    [
        "kind: openai, model: gpt-5, base_url: 'https://api.openai.com/v1'",
        "kind: openai, model: gpt-5, base_url: 'https://API.openai.com.:443/v1/'",
        "kind: google, model: gemini-2.5-pro, base_url: 'https://generativelanguage.googleapis.com'",
        "kind: anthropic, model: claude-sonnet-4-5, base_url: 'https://api.anthropic.com/'",
        "kind: anthropic, model: claude-sonnet-5-5, max_output_tokens: 128001, "
        "base_url: 'https://api.anthropic.com'",
    ],
)
def test_the_vendors_own_address_written_out_changes_nothing(provider: str, loaded: Loader) -> None:
    bare = ", ".join(part for part in provider.split(", ") if not part.startswith("base_url"))
    assert len(warnings(loaded, f"{bare}, api_key: k")) == 1
    assert len(warnings(loaded, f"{provider}, api_key: k")) == 1


@each_row(
    "provider",
    [
        "kind: openai, model: gpt-6.1-sol, api_key: k",
        "kind: openai, model: gpt-5, api_key: k, enabled: false",
        "kind: openai, model: gpt-5, api_key: k, base_url: 'https://x.openai.azure.com/openai/v1'",
        "kind: openai, model: gpt-5, api_key: k, base_url: 'https://api.openai.com.example/v1'",
        "kind: openai-compatible, model: gpt-5, base_url: 'http://127.0.0.1/v1'",
        "kind: openrouter, model: openai/gpt-5, api_key: k",
        "kind: google, model: gpt-5, api_key: k",
    ],
)
def test_what_another_serves_or_nobody_asks_is_no_warning(provider: str, loaded: Loader) -> None:
    assert warnings(loaded, provider) == []


@each_row(
    "provider, told",
    [
        ("base_url: 'http://192.0.2.7:8000/v1', api_key: k", True),
        ("base_url: 'http://192.0.2.7:8000/v1'", False),
        ("base_url: 'https://192.0.2.7:8000/v1', api_key: k", False),
        ("base_url: 'http://127.0.0.1:8000/v1', api_key: k", False),
        ("base_url: 'http://[::1]:8000/v1', api_key: k", False),
        ("base_url: 'http://192.0.2.7:8000/v1', api_key: k, enabled: false", False),
    ],
)
def test_a_vendors_key_that_goes_to_another_host_by_plain_http_is_told(
    loaded: Loader, provider: str, told: bool
) -> None:
    found = warnings(loaded, f"kind: openai-compatible, model: m, {provider}")
    assert ["over plain http and can be read in transit" in w for w in found] == [True] * told


@each_row(
    "provider, told",
    [
        ("kind: anthropic, model: claude-sonnet-5-5, api_key: k, max_output_tokens: 128000", False),
        ("kind: anthropic, model: claude-sonnet-5-5, api_key: k, max_output_tokens: 128001", True),
        ("kind: anthropic, model: not-yet-known, api_key: k, max_output_tokens: 128001", False),
        ("kind: openai, model: gpt-5.5, api_key: k, max_output_tokens: 999999", False),
    ],
)
def test_a_longer_answer_than_the_model_gives_is_told(loaded: Loader, provider: str, told: bool) -> None:
    found = warnings(loaded, provider)
    assert [
        "providers.a.max_output_tokens: claude-sonnet-5-5 returns at most 128000 tokens (as read on" in w
        for w in found
    ] == [True] * told
