"""What a model's tokens cost by the vendors' list prices, from the pinned `genai-prices` package, offline.

The package takes a third of a second to import, so that it is imported only for a provider whose price the
spec does not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.provider import Price

_PROBE = 1_000


@dataclass(frozen=True, slots=True)
class ListPrice(Price):
    """A price that knows of tiers and of cheaper cached input.

    `input` and `output` are those of a short call.
    """

    vendor: str = ""
    model: str = ""

    def cost(self, tokens: Tokens) -> float:
        """USD for `tokens` at the vendor's list price of today."""
        return _calculate(self.vendor, self.model, tokens)[2]


def list_price(vendor: str, model: str) -> ListPrice | None:
    """The list price of `model` at `vendor` (a kind of provider in the spec), or None where unknown."""
    try:
        into, out, _ = _calculate(vendor, model, Tokens(_PROBE, _PROBE))
    except LookupError:
        return None
    per_million = 1_000_000 / _PROBE
    return ListPrice(
        input=into * per_million,
        output=out * per_million,
        source=f"genai-prices {_package().__version__}",
        vendor=vendor,
        model=model,
    )


def _calculate(vendor: str, model: str, tokens: Tokens) -> tuple[float, float, float]:
    """USD for the input, for the output, and for both."""
    prices = _package()
    usage = prices.Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=min(tokens.cached, tokens.input) or None,
    )
    found = prices.calc_price(usage, model, provider_id=vendor)
    return float(found.input_price), float(found.output_price), float(found.total_price)


def _package() -> Any:
    import genai_prices

    return genai_prices
