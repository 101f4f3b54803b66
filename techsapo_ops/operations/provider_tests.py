"""Tests providers before they are relied on: all at once, within a bound of money, and keeps the outcome."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.catalogue.models import End
from techsapo_ops.errors import OpsError
from techsapo_ops.health.provider_tests import KeptTest, keep_tests, kept_tests, section_digest
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.model_facts import announced_end
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.layout import Layout
from techsapo_ops.wallbounce.registry import recipe
from techsapo_ops.wallbounce.tried import Outcome, Tried
from techsapo_ops.wallbounce.try_cost import AT_MOST, Candidate
from techsapo_ops.wallbounce.try_provider import try_provider


@dataclass(frozen=True, slots=True)
class ProviderTests:
    """What is to be tested, and what is not, with the reason by name; `unusable` can't be asked at all.

    `digests` are those of the candidates' sections, by name.
    """

    candidates: tuple[Candidate, ...]
    digests: Mapping[str, str]
    left_out: Mapping[str, str]
    unusable: Mapping[str, str]

    @property
    def worst(self) -> float:
        """USD that it costs at most."""
        return sum(candidate.worst for candidate in self.candidates)


def plan_tests(
    loaded: LoadedSpec,
    names: Iterable[str],
    at_most: float | None = None,
    limit: float = math.inf,
) -> ProviderTests:
    """Which providers to test: those of `names`, or all.

    One that is named is tested though it is not enabled, and one that can't be asked is then a fault; so are
    those without a key where no other is left to ask.
    `at_most` is in USD a provider, AT_MOST where it is None, `limit` in seconds a question. Raises OpsError
    for a name that the spec does not have.
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
            found = recipe(name, section)
            if isinstance(found, str):
                unusable[name] = found
                continue
            candidates.append(Candidate(found, AT_MOST if at_most is None else at_most, _end(section), limit))
    if not candidates:  # nobody is there whose answer could say that all is well
        unusable |= {name: left_out.pop(name) for name in loaded.disabled if name in left_out}
    digests = {each.name: section_digest(spec.providers[each.name]) for each in candidates}
    return ProviderTests(tuple(candidates), digests, left_out, unusable)


def _end(section: Section) -> End | None:
    return announced_end(section) if isinstance(section, ModelProvider) else None


def run_tests(
    tests: ProviderTests,
    layout: Layout,
    now: datetime,
    tell: Callable[[Tried], None],
    warn: Callable[[str], None],
) -> list[Tried]:
    """Test all at once and keep how each did, also of those that had ended when somebody cut it short.

    `tell` hears of each as it ends, `warn` where the outcome can't be kept: it was paid for and is told.
    """
    done: dict[str, Tried] = {}

    async def test(candidate: Candidate) -> None:
        found = await try_provider(candidate, now.date())
        done[candidate.name] = found
        tell(found)

    async def all_at_once() -> None:
        await asyncio.gather(*map(test, tests.candidates))

    try:
        asyncio.run(all_at_once())
    finally:
        try:
            _keep(tests, done, layout, now)
        except OpsError as error:
            warn(msg("the outcome is not kept: {message}", message=error.message))
    return [done[candidate.name] for candidate in tests.candidates]


def _keep(tests: ProviderTests, done: Mapping[str, Tried], layout: Layout, now: datetime) -> None:
    try:
        kept = dict(kept_tests(layout.provider_tests))
    except OpsError:  # it is written anew, which is what its hint says
        kept = {}
    new = {
        name: _kept(found, tests.digests[name], now)
        for name, found in done.items()
        if found.outcome is not Outcome.SKIPPED
    }
    if new:
        keep_tests(layout.provider_tests, kept | new)


def _kept(found: Tried, digest: str, now: datetime) -> KeptTest:
    bad = [] if found.outcome is Outcome.OK else [c for c in found.checks if c.outcome is found.outcome]
    return KeptTest(
        now, str(found.outcome), joined("; ", (check.detail for check in bad)),
        joined("; ", dict.fromkeys(check.remedy for check in bad if check.remedy)),
        digest, found.end,
    )  # fmt: skip
