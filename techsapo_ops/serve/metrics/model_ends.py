"""When the models in use end: what the catalogue knows, and what the vendors' own lists say once a day."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

import structlog

from techsapo_ops.catalogue.vendors import End
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.spec.providers import announced_end
from techsapo_ops.wallbounce.providers.failures import ProviderError
from techsapo_ops.wallbounce.providers.listed import Listed

log = structlog.get_logger()

SOON = 10.0
"""Most seconds after the start until the lists are read: instances that start together ask one by one."""
DAY = 86_400.0

AskList = Callable[[str, Any], Awaitable[Listed]]


class ModelEnds:
    """The ends of the models of `sections`, those of the providers in use by name.

    A vendor that tells ends in its list knows better than the catalogue, as soon as it was asked. A list
    that can't be read changes nothing.
    """

    def __init__(self, sections: Mapping[str, Section], ask: AskList) -> None:
        self._sections = {name: s for name, s in sections.items() if isinstance(s, ModelProvider)}
        self._ask = ask
        self._known: dict[str, End | None] = {name: announced_end(s) for name, s in self._sections.items()}
        self._told: dict[str, date | None] = {}

    def samples(self) -> Iterable[Sample]:
        """The first moment (UTC) of each known last day, by provider, model and who says so."""
        for name, section in self._sections.items():
            end = self._known[name]
            if name in self._told:
                day, source = self._told[name], "vendor"
            elif end is not None:
                day, source = end.retires, "second_hand" if end.source.second_hand else "catalogue"
            else:
                continue
            if day is not None:
                labels = {"provider": name, "model": section.model, "source": source}
                yield labels, datetime.combine(day, time(), UTC).timestamp()

    async def watch(
        self,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Read the vendors' lists soon after the start and then once a day, at no fixed hour."""
        await pause(SOON * draw())
        while True:
            for name in self._sections:
                await self.look(name)
            await pause(DAY * (0.9 + 0.2 * draw()))

    async def look(self, name: str) -> None:
        """Read what the vendor's list says of the model of the provider `name`."""
        section = self._sections[name]
        try:
            listed = await self._ask(name, section)
        except ProviderError as error:
            log.info("The vendor's list of models was not read", provider=name, error=error.message)
            return
        if listed.tells_ends:
            self._told[name] = listed.retires
        if listed.exists is False:
            log.warning(
                "The vendor does not list the model",
                provider=name,
                model=section.model,
                others=list(listed.others),
            )
        elif listed.retires is not None:
            log.info(
                "The vendor retires the model", provider=name, model=section.model, day=str(listed.retires)
            )
