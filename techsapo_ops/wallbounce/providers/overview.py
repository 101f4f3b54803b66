"""All providers of a spec: what is known of each without asking, and tests within a bound of money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from techsapo_ops.catalogue.vendors import End
from techsapo_ops.messages import msg
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.spec.problems import unknown
from techsapo_ops.spec.providers import announced_end, answer_length
from techsapo_ops.wallbounce.calls import cheapest
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.providers.registry import Registry, look_up, recipe
from techsapo_ops.wallbounce.providers.try_provider import AT_MOST, Candidate, Tried, try_provider
from techsapo_ops.wallbounce.question import CASCADE, PANELS, TaskType


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
    tiers: list[TaskType] = [
        t for t in PANELS if place is not None and place < getattr(spec.wallbounce.tiers, t).providers
    ]
    if name in [provider.name for provider in cheapest(registry.usable)[:2]]:
        tiers.append(CASCADE)
    model = section if isinstance(section, ModelProvider) else None
    return ListedProvider(
        name,
        section,
        registry.unavailable.get(name),
        tuple(tiers),
        registry.usable[place].price if place is not None else None,
        answer_length(model) if model is not None else None,
    )


@dataclass(frozen=True, slots=True)
class ProviderTests:
    """What is to be tested, and what is not, with the reason by name; `unusable` can't be asked at all."""

    candidates: tuple[Candidate, ...]
    left_out: Mapping[str, str]
    unusable: Mapping[str, str]

    @property
    def worst(self) -> float:
        """USD that it costs at most."""
        return sum(candidate.worst for candidate in self.candidates)


def plan_tests(loaded: LoadedSpec, names: Iterable[str], at_most: float = AT_MOST) -> ProviderTests:
    """Which providers to test: those of `names`, or all.

    One that is named is tested though it is not enabled, and one that can't be asked is then a fault; so are
    those without a key where no other is left to ask.
    `at_most` is in USD a provider. Raises OpsError for a name that the spec does not have.
    """
    spec = loaded.spec
    wanted = list(dict.fromkeys(names))
    known = [*spec.providers, *loaded.disabled]
    for name in wanted:
        if name not in known:
            raise unknown(msg("provider"), name, known)
    candidates: list[Candidate] = []
    left_out: dict[str, str] = {}
    unusable: dict[str, str] = {}
    for name in wanted or known:
        section = spec.providers.get(name)
        if section is None:
            (unusable if wanted else left_out)[name] = loaded.disabled[name]
        elif section.simulated:
            left_out[name] = msg("simulated: nothing to test")
        elif not section.enabled and not wanted:
            left_out[name] = msg("disabled in the spec")
        else:
            usable = recipe(name, section)
            if isinstance(usable, str):
                unusable[name] = usable
            else:
                candidates.append(Candidate(usable, at_most, _end(section)))
    if not candidates:  # nobody is there whose answer could say that all is well
        unusable |= {name: left_out.pop(name) for name in loaded.disabled if name in left_out}
    return ProviderTests(tuple(candidates), left_out, unusable)


def _end(section: Section) -> End | None:
    return announced_end(section) if isinstance(section, ModelProvider) else None


def run_tests(tests: ProviderTests, today: date, report: Callable[[Tried], None]) -> list[Tried]:
    """Test all at once; `report` hears of each as it ends."""

    async def test(candidate: Candidate) -> Tried:
        tried = await try_provider(candidate, today)
        report(tried)
        return tried

    async def all_at_once() -> list[Tried]:
        return await asyncio.gather(*map(test, tests.candidates))

    return asyncio.run(all_at_once())
