"""The longest answer of a provider: what the spec says, else by the model; as before on existing stacks."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.edition import Edition
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.model_facts import answer_length
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.registry import build_registry

Loader = Callable[..., LoadedSpec]
LOCAL = "".join(f"  {n}: {{kind: openai-compatible, model: m, base_url: 'http://{n}/v1'}}\n" for n in "bc")


def lengths(loaded: Loader, provider: str) -> tuple[int, int]:
    """The longest answer in tokens, by both editions."""
    spec = loaded(f"project: x\nproviders:\n  a: {{{provider}}}\n{LOCAL}").spec
    section = spec.providers["a"]
    assert isinstance(section, ModelProvider)
    return answer_length(section, 1).tokens, answer_length(section, 2).tokens


@each_row(
    "provider, second",
    [
        ("kind: openai, model: gpt-6.1-sol, api_key: k", 16_384),
        ("kind: openai, model: gpt-4.1, api_key: k", 4096),
        ("kind: openai, model: not-yet-known, api_key: k", 16_384),
        ("kind: openai, model: my-deployment, api_key: k, base_url: 'https://x.example/v1'", 16_384),
        ("kind: anthropic, model: claude-haiku-5-5, api_key: k", 16_384),
        ("kind: claude-agent, model: claude-sonnet-5-5", 16_384),
        ("kind: google, model: gemini-3.5-flash-lite, api_key: k", 16_384),
        ("kind: openrouter, model: openai/gpt-4o, api_key: k", 4096),
        ("kind: openrouter, model: openai/gpt-6-luna, api_key: k", 16_384),
        ("kind: openai-compatible, model: qwen3, base_url: 'http://a/v1'", 4096),
    ],
)
def test_from_the_second_edition_on_a_model_that_can_think_has_room_for_it(
    loaded: Loader, provider: str, second: int
) -> None:
    assert lengths(loaded, provider) == (4096, second)


def test_what_the_spec_says_holds_in_every_edition(loaded: Loader) -> None:
    assert lengths(loaded, "kind: openai, model: gpt-6.1-sol, api_key: k, max_output_tokens: 700") == (
        700,
        700,
    )


@each_row("edition, longest", [("", 4096), ("edition: 1\n", 4096), ("edition: 2\n", 16_384)])
def test_the_app_asks_for_what_the_edition_of_its_spec_has(
    loaded: Loader, edition: str, longest: int
) -> None:
    claude = "{kind: anthropic, model: claude-sonnet-5-5, api_key: k}"
    spec = loaded(f"project: x\n{edition}providers:\n  a: {claude}\n{LOCAL}").spec
    provider = build_registry(spec.model_copy(update={"providers": {"a": spec.providers["a"]}}), {}).usable[0]
    assert provider.max_output_tokens == longest


@each_row(
    "provider, began_with, told",
    [
        ("kind: openai, model: gpt-6.1-sol, api_key: k", 1, True),
        ("kind: openai, model: gpt-6.1-sol, api_key: k", 2, False),
        ("kind: openai, model: gpt-6.1-sol, api_key: k, max_output_tokens: 4096", 1, False),
        ("kind: openai, model: gpt-6.1-sol, api_key: k, enabled: false", 1, False),
        ("kind: openai-compatible, model: m, base_url: 'http://a/v1'", 1, False),
    ],
)
def test_an_existing_stack_is_told_of_answers_that_end_early_where_a_model_of_it_can_think(
    loaded: Loader, provider: str, began_with: Edition, told: bool
) -> None:
    text = f"project: x\nproviders:\n  a: {{{provider}}}\n{LOCAL}"
    warnings = [str(w) for w in loaded(text, began_with=began_with).warnings]
    early = "answers end after 4096 tokens, thinking included (providers.NAME.max_output_tokens)"
    assert any(early in warning for warning in warnings) is told
