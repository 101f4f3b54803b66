"""Rules about providers: that there are enough, that each has a key, and that its model stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.providers import KeyedProvider, ModelProvider
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Context, Finding, Path, dotted

if TYPE_CHECKING:
    from techsapo_ops.catalogue.vendors import End, ModelFacts

_PROVIDERS: Path = ("providers",)
_BASIC: Path = ("wallbounce", "tiers", "basic", "providers")
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


def keys(spec: Spec, context: Context) -> Iterator[Finding]:
    """A vendor's API needs a key."""
    for name, provider in spec.providers.items():
        if not provider.enabled or name in context.disabled:
            continue
        if provider.needs_key and _keyed(provider) is None:
            yield Finding(
                ("providers", name),
                msg("kind {kind} needs api_key or api_key_file", kind=provider.kind),
                msg('add e.g. `api_key: "${{API_KEY}}"`'),
            )


def providers(spec: Spec, context: Context) -> Iterator[Finding]:
    """There are enough providers of one sort to compare answers; a real one silences the simulated ones.

    In production another rule holds: real_providers in spec/production.py.
    """
    enabled = {n: p for n, p in spec.providers.items() if p.enabled}
    real = [n for n, p in enabled.items() if not p.simulated]
    usable = len(real) or len(enabled)
    basic = spec.wallbounce.tiers.basic.providers
    if not enabled:
        yield nobody_to_ask(spec, context)
    elif usable >= basic:
        yield from unfilled_tiers(spec, context, usable)
    elif len(enabled) < basic:
        yield too_few(spec, usable)
    else:
        yield Finding(
            _PROVIDERS,
            msg(
                "only {count} ({real}), but {compared}; simulated providers never answer together with real "
                "ones",
                count=_real(len(real)),
                real=", ".join(real),
                compared=_compared(spec),
            ),
            msg("configure another provider, or disable this one to try the stack with simulated ones"),
            uses=(_BASIC,),
            warning=True,
        )


def nobody_to_ask(spec: Spec, context: Context) -> Finding:
    """That no provider is enabled, and why."""
    why = (
        msg("all providers are disabled")
        if spec.providers or context.disabled
        else msg("`providers` is empty")
    )
    if context.disabled:
        reasons = (msg("{name}: {reason}", name=n, reason=reason) for n, reason in context.disabled.items())
        why = msg("{why} ({reasons})", why=why, reasons=joined(", ", reasons))
    return Finding(
        _PROVIDERS,
        msg("no provider to ask: {why}", why=why),
        msg("enable at least two providers, or remove `providers` to use simulated ones"),
    )


def too_few(spec: Spec, usable: int) -> Finding:
    """That the `usable` providers are fewer than an analysis compares."""
    return Finding(
        _PROVIDERS,
        msg("{count}, but {compared}", count=_count(usable), compared=_compared(spec)),
        msg("enable more providers"),
        uses=(_BASIC,),
    )


def unfilled_tiers(spec: Spec, context: Context, usable: int) -> Iterator[Finding]:
    """Tiers for which the file asks more than the `usable` providers."""
    for tier in ("premium", "critical"):
        wanted = getattr(spec.wallbounce.tiers, tier).providers
        path: Path = ("wallbounce", "tiers", tier, "providers")
        if wanted > usable and context.written(path):
            yield Finding(
                path,
                msg("needs {wanted} providers, but only {count} are available", wanted=wanted, count=usable),
                msg(
                    "tier {tier} asks only the enabled providers; enable more, or lower this number",
                    tier=tier,
                ),
                uses=(_PROVIDERS,),
                warning=True,
            )


def _compared(spec: Spec) -> str:
    return msg(
        "an analysis compares the answers of {providers} ({basic_path})",
        providers=spec.wallbounce.tiers.basic.providers,
        basic_path=dotted(_BASIC),
    )


def retiring(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model has no announced end at the vendor itself: a warning, as it answers until then.

    No clock is asked: the day stands in the message, whose words are true before and after.
    """
    for name, provider in spec.providers.items():
        model = getattr(provider, "model", "")
        if not provider.enabled or not provider.at_vendor:
            continue
        facts = facts_of(provider)
        if facts is None or facts.end is None:
            continue
        end = facts.end
        path: Path = ("providers", name)
        successor = (
            msg("the vendor names {replacement} as its replacement", replacement=end.replacement)
            if end.replacement
            else msg("choose a newer model")
        )
        yield Finding(
            (*path, "model"),
            msg(
                "the vendor has announced that {model} retires on {retires} ({read})",
                model=model,
                retires=end.retires,
                read=end.source.read,
            ),
            msg(
                "{successor}; a newer model may have different options and a different price",
                successor=successor,
            ),
            uses=((*path, "kind"), (*path, "base_url")),
            warning=True,
        )


def exposed_key(spec: Spec, _: Context) -> Iterator[Finding]:
    """An API key that goes to another host by plain http can be read on the way: a warning, as it works."""
    for name, provider in spec.providers.items():
        base_url = getattr(provider, "base_url", None)
        if not provider.enabled or not isinstance(provider, KeyedProvider) or base_url is None:
            continue
        try:
            address = urlsplit(base_url)
        except ValueError as error:
            yield Finding(
                ("providers", name, "base_url"),
                msg("is not an address: {error}", error=error),
                msg("e.g. https://example.com/v1"),
            )
            continue
        keyed = _keyed(provider)
        if address.scheme != "http" or keyed is None or is_loopback(address.hostname or ""):
            continue
        yield Finding(
            ("providers", name, "base_url"),
            msg(
                "the API key goes to {hostname} over plain http and can be read in transit",
                hostname=address.hostname,
            ),
            msg("use https, or remove the key if the server does not require it"),
            uses=(("providers", name, keyed),),
            warning=True,
        )


def _keyed(provider: ProviderSpec) -> str | None:
    """The field by which the vendor knows who asks; None where nothing is given."""
    return next((key for key in ("api_key", "headers") if getattr(provider, key, None)), None)


def _count(number: int) -> str:
    return msg("1 provider") if number == 1 else msg("{number} providers", number=number)


def _real(number: int) -> str:
    return msg("1 real provider") if number == 1 else msg("{number} real providers", number=number)


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
                msg("{place} is set automatically in each call", place=dotted(place)),
                msg(
                    "remove the key from extra_body; model, max_output_tokens and stream are keys of the "
                    "provider itself"
                ),
            )


def options(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model takes what is asked of it, as far as is known: a warning, as vendors change that."""
    for name, provider in spec.providers.items():
        if not provider.enabled or not provider.at_vendor:
            continue
        facts = facts_of(provider)
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
            "{model} returns at most {max_output} tokens ({read})",
            model=facts.model,
            max_output=limits.max_output,
            read=limits.source.read,
        ),
        msg("lower this value, or remove this key"),
        uses=((*path[:2], "kind"), (*path[:2], "model")),
        warning=True,
    )


def _effort(path: Path, provider: ProviderSpec, facts: ModelFacts) -> Iterator[Finding]:
    """An effort that the model does not take is refused by its vendor."""
    given = getattr(provider, "effort", None)
    if given is None or facts.effort is None or given in facts.effort.values:
        return
    taken, source = facts.effort.values, facts.effort.source
    what = f"effort: {given}" if taken else "effort"
    values = msg("accepted values: {taken}; ", taken=joined(", ", taken)) if taken else ""
    yield Finding(
        path,
        msg("{model} is not known to accept {what} ({read})", model=facts.model, what=what, read=source.read),
        msg("{values}without {key}, the vendor's default applies", values=values, key="effort"),
        uses=((*path[:2], "kind"), (*path[:2], "model")),
        warning=True,
    )


def facts_of(provider: ProviderSpec | ModelProvider) -> ModelFacts | None:
    """What the catalogue knows of the model that `provider` names, where a vendor has it."""
    if provider.vendor is None:
        return None
    from techsapo_ops.catalogue.vendors import model_of

    return model_of(provider.vendor, getattr(provider, "model", ""))


def announced_end(provider: ModelProvider) -> End | None:
    """The end of its model; none is known where another than the vendor serves it: a proxy, another cloud."""
    if not provider.at_vendor:
        return None
    facts = facts_of(provider)
    return facts.end if facts is not None else None


def answer_length(provider: ModelProvider) -> int:
    """Tokens of the longest answer: what the spec says; where it says nothing, what suits the model."""
    if provider.max_output_tokens is not None:
        return provider.max_output_tokens
    from techsapo_ops.catalogue.vendors import CHAT_ANSWER, THINKING_ANSWER

    if provider.vendor is None:
        return CHAT_ANSWER
    facts = facts_of(provider)
    return THINKING_ANSWER if facts is None else facts.max_output_tokens
