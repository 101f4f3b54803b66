"""The vendors behind the kinds of providers, loaded from vendors.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from techsapo_ops.catalogue.yaml_text import packaged_yaml


@dataclass(frozen=True, slots=True)
class Vendor:
    """One entry of vendors.yaml; the file's head explains each key."""

    label: str
    title: str
    genai: str = ""


@cache
def vendors() -> Mapping[str, Vendor]:
    """Every vendor by kind of provider."""
    return MappingProxyType({kind: Vendor(**entry) for kind, entry in packaged_yaml("vendors.yaml").items()})


def vendor_of(kind: str, name: str) -> Vendor:
    """The vendor of a provider's kind; one made of the provider's own `name` where the kind has none."""
    return vendors().get(kind) or Vendor(name, name)


def genai_provider(kind: str) -> str:
    """What OpenTelemetry calls the vendor of a provider's kind; of one that it has no name for, the kind."""
    found = vendors().get(kind)
    return kind if found is None else found.genai or found.label
