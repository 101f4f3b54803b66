"""Rules about providers: that there are enough, that each has a key, and that its model stays."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from techsapo_ops.catalogue.models import model_of
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.providers import KeyedProvider
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Path, dotted

_PROVIDERS: Path = ("providers",)
_BASIC: Path = ("wallbounce", "tiers", "basic", "providers")


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
                "only {count} ({real}): simulated ones never answer beside it, but {compared}",
                count=_real(len(real)),
                real=", ".join(real),
                compared=_compared(spec),
            ),
            msg("configure another, or disable it to try the stack with simulated ones"),
            uses=(_BASIC,),
            warning=True,
        )


def nobody_to_ask(spec: Spec, context: Context) -> Finding:
    """That no provider is enabled, and why."""
    why = msg("all are disabled") if spec.providers or context.disabled else msg("there is none")
    if context.disabled:
        reasons = (msg("{name}: {reason}", name=n, reason=reason) for n, reason in context.disabled.items())
        why = msg("{why} ({reasons})", why=why, reasons=joined(", ", reasons))
    return Finding(
        _PROVIDERS,
        msg("no provider to ask: {why}", why=why),
        msg("enable two or more, or leave out `providers` for simulated ones"),
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
                msg("wants {wanted} providers and there are {count}", wanted=wanted, count=usable),
                msg("{tier} uses those; enable more, or lower the number", tier=tier),
                uses=(_PROVIDERS,),
                warning=True,
            )


def _compared(spec: Spec) -> str:
    return msg(
        "an analysis compares {providers} ({basic_path})",
        providers=spec.wallbounce.tiers.basic.providers,
        basic_path=dotted(_BASIC),
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


def _keyed(provider: ProviderSpec) -> str | None:
    """The field by which the vendor knows who asks; None where nothing is given."""
    return next((key for key in ("api_key", "headers") if getattr(provider, key, None)), None)


def _count(number: int) -> str:
    return msg("1 provider") if number == 1 else msg("{number} providers", number=number)


def _real(number: int) -> str:
    return msg("1 real provider") if number == 1 else msg("{number} real providers", number=number)
