"""What the spec says of vendors' models: an announced end is a warning, both kinds of thinking an error."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.load import LoadedSpec

Loader = Callable[..., LoadedSpec]

OTHER = "".join(f"  {n}: {{kind: openai-compatible, model: m, base_url: 'http://{n}/v1'}}\n" for n in "bc")


def warnings(loaded: Loader, provider: str) -> list[str]:
    text = f"project: x\nproviders:\n  a: {{{provider}}}\n{OTHER}"
    return [str(w) for w in loaded(text, env={"MODEL": "gpt-5", "KEY": "k"}).warnings]


@each_row(
    "provider, words",
    [
        ("kind: openai, model: gpt-5, api_key: k", "2026-12-11"),
        ("kind: google, model: gemini-2.5-pro, api_key: k", "(as read on 2026-11-12, second-hand)"),
        ("kind: claude-agent, model: claude-sonnet-4-5", "2026-11-30"),
        ("kind: openai, model: gpt-5-mini-2025-08-07, api_key: k", "the vendor names gpt-6.1-terra"),
        ("kind: openai, model: '${MODEL}', api_key: k", "the value of ${MODEL} has an end"),
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
    assert ["by plain http, and can be read on the way" in w for w in found] == [True] * told


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
        "providers.a.max_output_tokens: claude-sonnet-5-5 gives at most 128000 tokens (as read on" in w
        for w in found
    ] == [True] * told
