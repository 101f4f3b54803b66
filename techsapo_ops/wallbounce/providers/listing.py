"""What is known of each provider of a spec, without asking a vendor."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.catalogue.vendors import End
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.spec.providers import announced_end, answer_length
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.providers.registry import Registry, look_up
from techsapo_ops.wallbounce.tiers import TIERS, TaskType


@dataclass(frozen=True, slots=True)
class ListedProvider:
    """One provider of the spec. `lacks` says why it is not asked, None where it is.

    `tiers` are those in which it answers at first; in the others it joins when they escalate. What is None
    is not known, `section` where the spec's can't be read without a variable that is not set.
    """

    name: str
    section: Section | None
    lacks: str | None
    tiers: tuple[TaskType, ...] = ()
    price: Price | None = None
    longest: int | None = None

    @property
    def model(self) -> str | None:
        """The vendor's name of the model."""
        return getattr(self.section, "model", None)

    @property
    def end(self) -> End | None:
        """The announced end of its model; none is known where another than the vendor serves it."""
        return announced_end(self.section) if isinstance(self.section, ModelProvider) else None


def list_providers(loaded: LoadedSpec) -> list[ListedProvider]:
    """Every provider of the spec, in the order in which they are asked; those left out come last."""
    spec = loaded.spec
    registry = look_up(spec, loaded.disabled)
    sections: dict[str, Section | None] = {
        **dict.fromkeys(loaded.disabled),
        **loaded.left_out,
        **spec.providers,
    }
    order = [*spec.providers, *(name for name in sections if name not in spec.providers)]
    return [_listed(name, sections[name], registry, spec) for name in order]


def _listed(name: str, section: Section | None, registry: Registry, spec: Spec) -> ListedProvider:
    place = next((n for n, provider in enumerate(registry.usable) if provider.name == name), None)
    tiers = spec.wallbounce.tiers
    model = section if isinstance(section, ModelProvider) else None
    return ListedProvider(
        name,
        section,
        registry.unavailable.get(name),
        tuple(t for t in TIERS if place is not None and place < getattr(tiers, t).providers),
        registry.usable[place].price if place is not None else None,
        answer_length(model) if model is not None else None,
    )
