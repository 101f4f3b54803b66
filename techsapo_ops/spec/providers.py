"""Rules about providers: that there are enough, and what their vendors ask of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args
from urllib.parse import urlsplit

from techsapo_ops.catalogue.models import ModelFacts, Source, Thinking, model_of
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.edition import PRODUCTION
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
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
    """There are enough providers of one sort to compare answers; a real one silences the simulated ones."""
    path: Path = ("providers",)
    enabled = {n: p for n, p in spec.providers.items() if p.enabled}
    real = [n for n, p in enabled.items() if not p.simulated]
    simulated = [n for n in enabled if n not in real]
    tiers = spec.wallbounce.tiers
    basic_path: Path = ("wallbounce", "tiers", "basic", "providers")
    if context.strict and simulated and not context.written(path):
        yield Finding(
            path,
            msg(
                "simulated unless you configure others, which environment {production} refuses",
                production=PRODUCTION,
            ),
            msg("configure at least {providers} real ones", providers=tiers.basic.providers),
        )
        return
    if context.strict:
        for name in simulated:
            yield Finding(
                (*path, name),
                msg("is simulated, which environment {production} refuses", production=PRODUCTION),
                msg("remove it in the overlay by `{name}: null`", name=name),
            )
    usable = real if real or context.strict else simulated
    compared = msg(
        "an analysis compares {providers} ({basic_path})",
        providers=tiers.basic.providers,
        basic_path=dotted(basic_path),
    )
    if not enabled:
        why = msg("all are disabled") if spec.providers or context.disabled else msg("there is none")
        if context.disabled:
            reasons = (msg("{name}: {reason}", name=n, reason=why) for n, why in context.disabled.items())
            why = msg("{why} ({reasons})", why=why, reasons=joined(", ", reasons))
        yield Finding(
            path,
            msg("no provider to ask: {why}", why=why),
            msg("enable two or more, or leave out `providers` for simulated ones"),
        )
        return
    if len(usable) < tiers.basic.providers:
        if len(enabled) < tiers.basic.providers or context.strict:
            yield Finding(
                path,
                msg("{count}, but {compared}", count=_count(len(usable)), compared=compared),
                msg("enable more providers"),
                uses=(basic_path,),
            )
        else:
            yield Finding(
                path,
                msg(
                    "only {count} ({real}): simulated ones never answer beside it, but {compared}",
                    count=_real(len(real)),
                    real=", ".join(real),
                    compared=compared,
                ),
                msg("configure another, or disable it to try the stack with simulated ones"),
                uses=(basic_path,),
                warning=True,
            )
        return
    for tier in ("premium", "critical"):
        wanted = getattr(tiers, tier).providers
        tier_path: Path = ("wallbounce", "tiers", tier, "providers")
        if wanted > len(usable) and context.written(tier_path):
            yield Finding(
                tier_path,
                msg("wants {wanted} providers and there are {count}", wanted=wanted, count=len(usable)),
                msg("{tier} uses those; enable more, or lower the number", tier=tier),
                uses=(path,),
                warning=True,
            )


def retiring(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model has no announced end at the vendor itself: a warning, as it answers until then.

    No clock is asked: the day stands in the message, whose words are true before and after.
    """
    for name, provider in spec.providers.items():
        model = getattr(provider, "model", "")
        if not provider.enabled or provider.vendor is None or not provider.at_vendor:
            continue
        facts = model_of(provider.vendor, model)
        if facts is None or facts.end is None:
            continue
        end = facts.end
        path: Path = ("providers", name)
        successor = (
            msg("the vendor names {replacement}", replacement=end.replacement)
            if end.replacement
            else msg("choose a current one")
        )
        yield Finding(
            (*path, "model"),
            msg(
                "{model} has an end that its vendor announced: {retires} ({read})",
                model=model,
                retires=end.retires,
                read=end.source.read,
            ),
            msg(
                "{successor}; a newer model may take other options and cost something else",
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
                msg("is no address: {error}", error=error),
                msg("e.g. https://example.com/v1"),
            )
            continue
        keyed = _keyed(provider)
        if address.scheme != "http" or keyed is None or is_loopback(address.hostname or ""):
            continue
        yield Finding(
            ("providers", name, "base_url"),
            msg(
                "the API key goes to {hostname} by plain http, and can be read on the way",
                hostname=address.hostname,
            ),
            msg("use https, or leave the key out where the server asks for none"),
            uses=(("providers", name, keyed),),
            warning=True,
        )


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


def _keyed(provider: ProviderSpec) -> str | None:
    """The field by which the vendor knows who asks; None where nothing is given."""
    return next((key for key in ("api_key", "api_key_file", "headers") if getattr(provider, key, None)), None)


def _count(number: int) -> str:
    return msg("1 provider") if number == 1 else msg("{number} providers", number=number)


def _real(number: int) -> str:
    return msg("1 real provider") if number == 1 else msg("{number} real providers", number=number)
