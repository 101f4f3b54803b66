"""The places of each engine, by its name."""

from __future__ import annotations

from techsapo_ops.stack.places import EVERY, Places


def places_of(engine: str) -> Places:
    """The places of the engine of that name. Raises KeyError for a name that there is not."""
    known: dict[str, Places] = {places.name: places for places in EVERY}
    return known[engine]
