"""How providers look: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from techsapo_ops.spec.answer_length import SPEC

if TYPE_CHECKING:
    from techsapo_ops.operations.providers import ListedProvider
    from techsapo_ops.wallbounce.provider import Price

COLUMNS = (
    "name", "kind", "model", "state", "from", "$/m in", "$/m out", "longest", "context", "effort", "retires",
)  # fmt: skip
NUMBERS = ("$/m in", "$/m out", "longest", "context")
_UNKNOWN = "-"


def provider_row(listed: ListedProvider) -> list[str]:
    """One line of the table of COLUMNS; sources and reasons are told below it."""
    section, price, facts, effort = listed.section, listed.price, listed.facts, listed.effort
    context = facts.limits.context if facts is not None and facts.limits is not None else None
    usable = listed.lacks is None
    return [
        listed.name,
        section.kind if section is not None else _UNKNOWN,
        listed.model or _UNKNOWN,
        "usable" if usable else "unavailable",
        next(iter(listed.tiers), "spare" if usable else _UNKNOWN),
        f"{price.input:g}" if price is not None else _UNKNOWN,
        f"{price.output:g}" if price is not None else _UNKNOWN,
        f"{listed.longest.tokens:,}" if listed.longest is not None else _UNKNOWN,
        f"{context:,}" if context is not None else _UNKNOWN,
        (effort.value if effort.by_spec else f"{effort.value} (default)") if effort is not None else _UNKNOWN,
        str(listed.end.retires) if listed.end is not None else _UNKNOWN,
    ]


def notes(providers: Sequence[ListedProvider], today: date) -> Iterator[str]:
    """What the table has no room for: why a provider is unavailable, ends, and where numbers come from."""
    for listed in providers:
        if listed.lacks is not None:
            yield f"{listed.name}: {listed.lacks}"
        if (end := listed.end) is not None:
            verb = "was retired by its vendor" if end.retires <= today else "is retired by its vendor"
            successor = f"; it names {end.replacement} in its place" if end.replacement else ""
            yield f"{listed.name}: {listed.model} {verb} on {end.retires} ({end.source.read}){successor}"
    prices = {p.name: p.price.source for p in providers if p.price is not None}
    for source, names in _grouped(prices):
        yield f"price of {names} by {source}"
    longest = {p.name: p.longest.source for p in providers if p.longest is not None}
    for source, names in _grouped(longest):
        yield f"longest answer of {names} by {source}"
    if set(longest.values()) - {SPEC}:
        yield "`max_output_tokens` of a provider changes its longest answer"


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
