"""Rules about what a model is asked for: that it is known to take it, and that it is not the call's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from techsapo_ops.catalogue.models import ModelFacts, model_of
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import KeyedProvider
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Path, dotted

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
    """A model takes what is asked of it, as far as is known: a warning, as vendors change that."""
    for name, provider in spec.providers.items():
        if not provider.enabled or provider.vendor is None or not provider.at_vendor:
            continue
        facts = model_of(provider.vendor, getattr(provider, "model", ""))
        if facts is None:
            continue
        yield from _beyond(("providers", name, "max_output_tokens"), provider, facts)
        yield from _effort(("providers", name, "effort"), provider, facts)


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


def _effort(path: Path, provider: ProviderSpec, facts: ModelFacts) -> Iterator[Finding]:
    """An effort that the model does not take is refused by its vendor."""
    given = getattr(provider, "effort", None)
    if given is None or facts.effort is None or given in facts.effort.values:
        return
    taken, source = facts.effort.values, facts.effort.source
    what = given if taken else "effort"
    values = msg("it takes {taken}; ", taken=joined(", ", taken)) if taken else ""
    yield Finding(
        path,
        msg("{model} is not known to take {what} ({read})", model=facts.model, what=what, read=source.read),
        msg("{values}without {key} it does as its vendor thinks best", values=values, key="effort"),
        uses=((*path[:2], "kind"), (*path[:2], "model")),
        warning=True,
    )
