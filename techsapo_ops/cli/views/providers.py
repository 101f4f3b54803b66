"""How providers look: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.model_facts import SPEC

if TYPE_CHECKING:
    from techsapo_ops.operations.providers import ListedProvider
    from techsapo_ops.wallbounce.provider import Price

COLUMNS = ("name", "kind", "model", "asked", "$/m", "longest", "context", "effort", "retires")
NUMBERS = ("longest", "context")
_UNKNOWN = "-"


def provider_row(listed: ListedProvider) -> list[str]:
    """One line of the table of COLUMNS; sources and reasons are told below it."""
    end = listed.end.retires if listed.end is not None else None
    section, price, facts, effort = listed.section, listed.price, listed.facts, listed.effort
    context = facts.limits.context if facts is not None and facts.limits is not None else None
    return [
        listed.name,
        section.kind if section is not None else _UNKNOWN,
        listed.model or _UNKNOWN,
        "unavailable" if listed.lacks is not None else next(iter(listed.tiers), "spare"),
        f"{price.input:g} / {price.output:g}" if price is not None else _UNKNOWN,
        f"{listed.longest.tokens:,}" if listed.longest is not None else _UNKNOWN,
        f"{context:,}" if context is not None else _UNKNOWN,
        effort.value if effort is not None else _UNKNOWN,
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
    prices = {p.name: p.price.source for p in providers if p.price is not None}
    for source, names in _grouped(prices):
        yield msg("price of {names} by {source}", names=names, source=source)
    efforts = {p.name: SPEC if p.effort.by_spec else "the vendor" for p in providers if p.effort is not None}
    for source, names in _grouped(efforts):
        yield msg("effort of {names} by {source}", names=names, source=source)
    longest = {p.name: p.longest.source for p in providers if p.longest is not None}
    for source, names in _grouped(longest):
        yield msg("longest answer of {names} by {source}", names=names, source=source)
    if set(longest.values()) - {SPEC}:
        yield msg("`max_output_tokens` of a provider changes its longest answer")


def _grouped(sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each source with the names that have it."""
    for source in dict.fromkeys(sources.values()):
        words = "the spec" if source == SPEC else source
        yield words, ", ".join(name for name, its in sources.items() if its == source)


def provider_json(listed: ListedProvider) -> dict[str, Any]:
    """One provider with stable keys; null where nothing is known."""
    section, facts, effort, end = listed.section, listed.facts, listed.effort, listed.end
    limits = facts.limits if facts is not None else None
    return {
        "name": listed.name,
        "kind": section.kind if section is not None else None,
        "model": listed.model,
        "usable": listed.lacks is None,
        "reason": listed.lacks,
        "tiers": list(listed.tiers),
        "price": _price_json(listed.price),
        "max_output_tokens": listed.longest.tokens if listed.longest is not None else None,
        "max_output_tokens_by": listed.longest.source if listed.longest is not None else None,
        "model_max_output_tokens": limits.max_output if limits is not None else None,
        "context_tokens": limits.context if limits is not None else None,
        "effort": {"value": effort.value, "by_spec": effort.by_spec} if effort is not None else None,
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
