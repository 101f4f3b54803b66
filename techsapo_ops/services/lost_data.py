"""Which data of a stack was there, and is gone: its folder or volume is not there any more, or is empty."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from techsapo_ops.adapters.questions import at_once
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.data_notes import MARK, DataNote, KnownData
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.topology import Topology

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LostData:
    """The data of `service`, which is gone; `title` is what it is, `known` what is known of it."""

    service: str
    title: str
    known: KnownData

    def __str__(self) -> str:
        seen = self.known.seen.astimezone()
        today = seen.date() == datetime.now().astimezone().date()
        at = f"{seen:%H:%M}" if today else f"{seen:%Y-%m-%d %H:%M}"
        if self.known.amount is None:
            return msg("{title}'s data is gone (last seen at {at})", title=self.title, at=at)
        return msg(
            "{title}'s data is gone (last seen at {at}: {amount})",
            title=self.title,
            amount=self.known.amount,
            at=at,
        )


def lost_data(topology: Topology, access: Access, engine: str) -> tuple[LostData, ...]:
    """What of the data that was noted is gone, in the order of the services.

    A folder that can't be looked into is no lost one, nor is one of several hosts': it gets its data from the
    others. Raises OpsError where the note can't be read.
    """
    known = DataNote(topology.layout, engine).known()
    asked = {
        service.name: partial(access.data_entries, service.name)
        for service in topology.services
        if service.name in known and kind_of(service).data_names(topology)
    }
    entries = at_once(asked, _SECONDS)
    lost = []
    for service in topology.services:
        there = entries.get(service.name)
        if not isinstance(there, frozenset):
            continue
        if not is_there(there, kind_of(service).data_names(topology)) or MARK not in there:
            alone = len(topology.of_kind(service.kind)) == 1
            title = service.facts.title if alone else service.name
            lost.append(LostData(service.name, title, known[service.name]))
    return tuple(lost)


def is_there(entries: Collection[str], names: Collection[str]) -> bool:
    """Whether a data folder with these `entries` has its data, which is in one of `names`."""
    return any(name in entries for name in names)
