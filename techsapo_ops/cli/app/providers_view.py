"""How providers look: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.wallbounce.providers.overview import ListedProvider
    from techsapo_ops.wallbounce.providers.provider import Price

COLUMNS = ("name", "kind", "model", "asked", "$/m", "longest", "retires")
NUMBERS = ("longest",)
_UNKNOWN = "-"


def provider_row(listed: ListedProvider) -> list[str]:
    """One line of the table of COLUMNS; sources and reasons are told below it."""
    end = listed.end.retires if listed.end is not None else None
    section, price = listed.section, listed.price
    return [
        listed.name,
        section.kind if section is not None else _UNKNOWN,
        listed.model or _UNKNOWN,
        "unavailable" if listed.lacks is not None else next(iter(listed.tiers), "spare"),
        f"{price.input:g} / {price.output:g}" if price is not None else _UNKNOWN,
        f"{listed.longest:,}" if listed.longest is not None else _UNKNOWN,
        str(end) if end is not None else _UNKNOWN,
    ]


def notes(providers: Sequence[ListedProvider], today: date) -> Iterator[str]:
    """What the table has no room for: why a provider is unavailable, ends, and where numbers come from."""
    for listed in providers:
        if listed.lacks is not None:
            yield msg("{listed}: {lacks}", listed=listed.name, lacks=listed.lacks)
        if (end := listed.end) is not None:
            verb = (
                msg("was retired by its vendor") if end.retires <= today else msg("is retired by its vendor")
            )
            successor = (
                msg("; it names {replacement} in its place", replacement=end.replacement)
                if end.replacement
                else ""
            )
            yield msg(
                "{listed}: {model} {verb} on {retires} ({read}){successor}",
                listed=listed.name,
                model=listed.model,
                verb=verb,
                retires=end.retires,
                read=end.source.read,
                successor=successor,
            )
    prices: dict[str, list[str]] = {}
    for listed in providers:
        if listed.price is not None:
            prices.setdefault(listed.price.source, []).append(listed.name)
    for source, names in prices.items():
        by = "the spec" if source == "spec" else source
        yield msg("price of {names} by {source}", names=", ".join(names), source=by)
    yield msg("`max_output_tokens` of a provider changes its longest answer")


def provider_json(listed: ListedProvider) -> dict[str, Any]:
    """One provider with stable keys; null where nothing is known."""
    section, end = listed.section, listed.end
    return {
        "name": listed.name,
        "kind": section.kind if section is not None else None,
        "model": listed.model,
        "usable": listed.lacks is None,
        "reason": listed.lacks,
        "tiers": list(listed.tiers),
        "price": _price_json(listed.price),
        "max_output_tokens": listed.longest,
        "end": {
            "retires": str(end.retires),
            "replacement": end.replacement,
            "as_of": str(end.source.as_of),
            "second_hand": end.source.second_hand,
            "source": end.source.where,
        }
        if end is not None
        else None,
    }


def _price_json(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "input": price.input,
        "output": price.output,
        "cached_input": price.cached,
        "cache_write": price.cache_write,
        "known": price.known,
        "source": price.source,
    }
