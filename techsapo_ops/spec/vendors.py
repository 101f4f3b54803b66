"""What vendors' models ask of a spec: rules as in rules.py."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from techsapo_ops.catalogue.retirements import retirements
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.providers import GoogleProvider, KeyedProvider
from techsapo_ops.spec.models.providers import Provider as ProviderSpec
from techsapo_ops.spec.problems import Path


def retiring(spec: Spec, _: Context) -> Iterator[Finding]:
    """A model has no announced end at the vendor itself: a warning, as it answers until then.

    No clock is asked: the day stands in the message, and it is true before and after.
    """
    for name, provider in spec.providers.items():
        vendor = provider.announced_by
        model = getattr(provider, "model", "")
        if not provider.enabled or vendor is None or _elsewhere(provider):
            continue
        found = retirements().get((vendor, model))
        if found is None:
            continue
        path: Path = ("providers", name)
        read = f"as read on {found.as_of}{', second-hand' if found.second_hand else ''}"
        successor = f"the vendor names {found.replacement}" if found.replacement else "choose a current one"
        yield Finding(
            (*path, "model"),
            f"{model} is retired by its vendor on {found.retires} ({read})",
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
        address = urlsplit(base_url)
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
