"""Rules about providers: that there are enough, and what their vendors ask of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from techsapo_ops.catalogue.models import model_of
from techsapo_ops.spec.edition import PRODUCTION
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.providers import GoogleProvider, KeyedProvider
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Path, dotted


def keys(spec: Spec, context: Context) -> Iterator[Finding]:
    """A vendor's API needs a key."""
    for name, provider in spec.providers.items():
        if not provider.enabled or name in context.disabled:
            continue
        if provider.needs_key and getattr(provider, "api_key", None) is None:
            yield Finding(
                ("providers", name),
                f"kind {provider.kind} needs api_key or api_key_file",
                'add e.g. `api_key: "${API_KEY}"`',
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
            f"simulated unless you configure others, which environment {PRODUCTION} refuses",
            f"configure at least {tiers.basic.providers} real ones",
        )
        return
    if context.strict:
        for name in simulated:
            yield Finding(
                (*path, name),
                f"is simulated, which environment {PRODUCTION} refuses",
                f"remove it in the overlay by `{name}: null`",
            )
    usable = real if real or context.strict else simulated
    compared = f"an analysis compares {tiers.basic.providers} ({dotted(basic_path)})"
    if not enabled:
        why = "all are disabled" if spec.providers or context.disabled else "there is none"
        if context.disabled:
            why += f" ({', '.join(f'{name}: {reason}' for name, reason in context.disabled.items())})"
        yield Finding(
            path,
            f"no provider to ask: {why}",
            "enable two or more, or leave out `providers` for simulated ones",
        )
        return
    if len(usable) < tiers.basic.providers:
        if len(enabled) < tiers.basic.providers or context.strict:
            yield Finding(
                path,
                f"{_count(len(usable), 'provider')}, but {compared}",
                "enable more providers",
                uses=(basic_path,),
            )
        else:
            yield Finding(
                path,
                f"only {_count(len(real), 'real provider')} ({', '.join(real)}): simulated ones never answer "
                f"beside it, but {compared}",
                "configure another, or disable it to try the stack with simulated ones",
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
                f"wants {wanted} providers and there are {len(usable)}",
                f"{tier} uses those; enable more, or lower the number",
                uses=(path,),
                warning=True,
            )


def retiring(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model has no announced end at the vendor itself: a warning, as it answers until then.

    No clock is asked: the day stands in the message, and it is true before and after.
    """
    for name, provider in spec.providers.items():
        model = getattr(provider, "model", "")
        if not provider.enabled or provider.vendor is None or _elsewhere(provider):
            continue
        facts = model_of(provider.vendor, model)
        if facts is None or facts.end is None:
            continue
        end = facts.end
        path: Path = ("providers", name)
        successor = f"the vendor names {end.replacement}" if end.replacement else "choose a current one"
        yield Finding(
            (*path, "model"),
            f"{model} is retired by its vendor on {end.retires} ({end.source.read})",
            f"{successor}; a newer model may take other options and cost something else",
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
                ("providers", name, "base_url"), f"is no address: {error}", "e.g. https://example.com/v1"
            )
            continue
        keyed = "api_key" if provider.api_key is not None else "api_key_file"
        if (
            address.scheme != "http"
            or getattr(provider, keyed) is None
            or is_loopback(address.hostname or "")
        ):
            continue
        yield Finding(
            ("providers", name, "base_url"),
            f"the API key goes to {address.hostname} by plain http, and can be read on the way",
            "use https, or leave the key out where the server asks for none",
            uses=(("providers", name, keyed),),
            warning=True,
        )


def thinking(spec: Spec, _: Context) -> Iterator[Finding]:
    """Gemini takes a budget or a level of thinking, never both."""
    for name, provider in spec.providers.items():
        if (
            isinstance(provider, GoogleProvider)
            and provider.thinking_budget is not None
            and provider.thinking_level is not None
        ):
            yield Finding(
                ("providers", name, "thinking_level"),
                "thinking_budget is given too, and Gemini refuses both",
                "keep thinking_level for Gemini 3 and later, thinking_budget for 2.5",
                uses=(("providers", name, "thinking_budget"),),
            )


def _elsewhere(provider: ProviderSpec) -> bool:
    """Whether it is asked at another address than its vendor's: a proxy or another cloud."""
    return getattr(provider, "base_url", None) is not None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
