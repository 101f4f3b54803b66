"""The longest answer of a provider: what the spec says, else by the model."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.model_facts import answer_length
from techsapo_ops.spec.models.providers import ModelProvider

Loader = Callable[..., LoadedSpec]
LOCAL = "".join(f"  {n}: {{kind: openai-compatible, model: m, base_url: 'http://{n}/v1'}}\n" for n in "bc")


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
    section = loaded(f"project: x\nproviders:\n  a: {{{provider}}}\n{LOCAL}").spec.providers["a"]
    assert isinstance(section, ModelProvider)
    assert answer_length(section) == tokens
