"""Rules about what a model is asked for: options that go together, and that it is known to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from techsapo_ops.catalogue.models import ModelFacts, Source, Thinking, model_of
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import (
    AnthropicProvider,
    Effort,
    GoogleProvider,
    KeyedProvider,
    OpenRouterProvider,
)
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Path, dotted

_EFFORTS = get_args(Effort)
_OWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "": (
        "model", "messages", "input", "instructions", "system", "contents", "systemInstruction",
        "system_instruction", "generation_config", "stream", "stream_options", "max_tokens",
        "max_completion_tokens", "max_output_tokens", "n", "response_format", "store",
    ),
    "text": ("format",),
    "output_config": ("format",),
    "generationConfig": (
        "maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count", "responseMimeType",
        "response_mime_type", "responseJsonSchema", "response_json_schema", "responseSchema",
        "response_schema",
    ),
}  # fmt: skip
"""Fields of any kind's body that `extra_body` can't hold, by the field that they are in."""


def thinking(spec: Spec, _: Context) -> Iterator[Finding]:
    """What is said of thinking can be meant together, whichever the model."""
    for name, provider in spec.providers.items():
        path: Path = ("providers", name)
        if isinstance(provider, GoogleProvider):
            if provider.thinking_budget is not None and provider.thinking_level is not None:
                yield Finding(
                    (*path, "thinking_level"),
                    msg("thinking_budget is given too, and Gemini refuses both"),
                    msg("keep thinking_level for Gemini 3 and later, thinking_budget for 2.5"),
                    uses=((*path, "thinking_budget"),),
                )
        elif isinstance(provider, AnthropicProvider):
            if (provider.thinking == "enabled") != (provider.thinking_budget is not None):
                given = "thinking" if provider.thinking_budget is None else "thinking_budget"
                yield Finding(
                    (*path, given),
                    msg("`thinking: enabled` and thinking_budget go together"),
                    msg("give both, or neither: current models think as `effort` says"),
                    uses=((*path, "thinking"), (*path, "thinking_budget")),
                )
            yield from _too_long(path, "thinking_budget", provider.thinking_budget, provider)
        elif isinstance(provider, OpenRouterProvider) and provider.reasoning is not None:
            if provider.reasoning.effort is not None and provider.reasoning.max_tokens is not None:
                yield Finding(
                    (*path, "reasoning", "max_tokens"),
                    msg("effort is given too, and OpenRouter takes one of them"),
                    msg("keep effort, which more models take"),
                    uses=((*path, "reasoning", "effort"),),
                )
            yield from _too_long((*path, "reasoning"), "max_tokens", provider.reasoning.max_tokens, provider)


def _too_long(path: Path, key: str, tokens: int | None, provider: KeyedProvider) -> Iterator[Finding]:
    longest = provider.max_output_tokens
    if tokens is not None and longest is not None and tokens >= longest:
        yield Finding(
            (*path, key),
            msg("leaves nothing of max_output_tokens ({longest}) for the answer", longest=longest),
            msg("raise max_output_tokens, or lower this"),
            uses=((*path[:2], "max_output_tokens"),),
        )


def bodies(spec: Spec, _: Context) -> Iterator[Finding]:
    """What a call is made of can't be overwritten by `extra_body`."""
    for name, provider in spec.providers.items():
        if not isinstance(provider, KeyedProvider) or provider.extra_body is None:
            continue
        extra = provider.extra_body
        places: list[Path] = [(key,) for key in extra if key in _OWN_FIELDS[""]]
        for outer, inner in _OWN_FIELDS.items():
            held = extra.get(outer)
            if isinstance(held, Mapping):
                places += [(outer, key) for key in held if key in inner]
            elif outer in extra:
                places.append((outer,))
        for place in places:
            yield Finding(
                ("providers", name, "extra_body", *place),
                msg("{place} is the call's own", place=dotted(place)),
                msg("leave it out; model, max_output_tokens and stream are fields of the provider"),
            )


def options(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model takes the options that are given, as far as is known: a warning, as vendors change that."""
    for name, provider in spec.providers.items():
        if not provider.enabled or provider.vendor is None or not provider.at_vendor:
            continue
        model = getattr(provider, "model", "")
        facts = model_of(provider.vendor, model)
        if facts is None:
            continue
        yield from _beyond(("providers", name, "max_output_tokens"), provider, facts)
        for key, given, taken, source in _asked(provider, facts):
            if given in taken:
                continue
            what = given if taken else key
            values = msg("it takes {taken}; ", taken=joined(", ", taken)) if taken else ""
            yield Finding(
                ("providers", name, key),
                msg("{model} is not known to take {what} ({read})", model=model, what=what, read=source.read),
                msg("{values}without {key} it does as its vendor thinks best", values=values, key=key),
                uses=(("providers", name, "kind"), ("providers", name, "model")),
                warning=True,
            )


def _beyond(path: Path, provider: ProviderSpec, facts: ModelFacts) -> Iterator[Finding]:
    """A longer answer than the model has is refused by its vendor."""
    longest, limits = getattr(provider, "max_output_tokens", None), facts.limits
    if longest is None or limits is None or limits.max_output is None or longest <= limits.max_output:
        return
    yield Finding(
        path,
        msg(
            "{model} gives at most {max_output} tokens ({read})",
            model=facts.model,
            max_output=limits.max_output,
            read=limits.source.read,
        ),
        msg("lower it, or leave it out"),
        uses=((*path[:2], "kind"), (*path[:2], "model")),
        warning=True,
    )


def _asked(provider: ProviderSpec, facts: ModelFacts) -> Iterator[tuple[str, str, Sequence[str], Source]]:
    """Each option that is given: its key, its value, what the model takes of it, and who says so."""
    for key in ("reasoning_effort", "effort"):
        given = getattr(provider, key, None)
        if given is not None and facts.effort is not None:
            yield key, given, facts.effort.values, facts.effort.source
    told = facts.thinking
    if told is None:
        return
    if isinstance(provider, AnthropicProvider) and provider.thinking is not None and told.modes:
        highest = told.up_to_effort.get(provider.thinking)
        if _fits(provider.effort, highest):
            yield "thinking", provider.thinking, told.modes, told.source
        else:
            known = facts.effort.values if facts.effort is not None else _EFFORTS
            upper = [effort for effort in known if _fits(effort, highest)]
            yield "effort", f"{provider.effort} with thinking: {provider.thinking}", upper, told.source
    if isinstance(provider, GoogleProvider):
        if provider.thinking_level is not None:
            yield "thinking_level", provider.thinking_level, told.levels, told.source
        budget = provider.thinking_budget
        if budget is not None and not (told.budget is None and told.levels):
            taken = told.budget is not None and told.budget.takes(budget)
            yield "thinking_budget", str(budget), (str(budget),) if taken else _budget(told), told.source


def _budget(told: Thinking) -> tuple[str, ...]:
    if told.budget is None:
        return ()
    others = [value for value, taken in (("0", told.budget.zero), ("-1", told.budget.any)) if taken]
    return (msg("{least} to {most}", least=told.budget.least, most=told.budget.most), *others)


def _fits(effort: str | None, highest: str | None) -> bool:
    return effort is None or highest is None or _EFFORTS.index(effort) <= _EFFORTS.index(highest)
