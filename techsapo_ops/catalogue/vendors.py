"""The vendors behind the kinds of providers: what is known of their models, and what their errors mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any

from techsapo_ops.catalogue.yaml_text import frozen, packaged_yaml
from techsapo_ops.messages import msg

CHAT_ANSWER = 4096
"""Tokens of the longest answer of a model that does not think."""
THINKING_ANSWER = 16_384
"""Tokens of the longest answer of one that may: hidden thinking counts against it."""
WARNED_DAYS = 60
"""Days before a model's end from which it is a matter for today."""
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|(?:0[1-9]|1[0-2])\d{2}|\d{3})\Z")


@dataclass(frozen=True, slots=True)
class Vendor:
    """One entry of vendors.yaml; the file's head explains each key."""

    label: str
    title: str
    genai: str = ""


@cache
def vendors() -> Mapping[str, Vendor]:
    """Every vendor by kind of provider."""
    return MappingProxyType({kind: Vendor(**entry) for kind, entry in packaged_yaml("vendors.yaml").items()})


def vendor_of(kind: str, name: str) -> Vendor:
    """The vendor of a provider's kind; one made of the provider's own `name` where the kind has none."""
    return vendors().get(kind) or Vendor(name, name)


def genai_provider(kind: str) -> str:
    """What OpenTelemetry calls the vendor of a provider's kind; of one that it has no name for, the kind."""
    vendor = vendors().get(kind)
    return kind if vendor is None else vendor.genai or vendor.label


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts were read, and when; `second_hand` where others told them."""

    where: str
    as_of: date
    second_hand: bool = False

    @property
    def read(self) -> str:
        """When, in words."""
        if self.second_hand:
            return msg("as read on {day}, not confirmed by the vendor", day=self.as_of)
        return msg("as read on {day}", day=self.as_of)


@dataclass(frozen=True, slots=True)
class End:
    """The day from which the vendor no longer answers by a model, and what it names in its place."""

    retires: date
    source: Source
    replacement: str | None = None

    def is_near(self, today: date) -> bool:
        """Whether it has come, or comes within WARNED_DAYS."""
        return (self.retires - today).days <= WARNED_DAYS


@dataclass(frozen=True, slots=True)
class Limits:
    """Most tokens of a call; `max_output` counts thinking too."""

    source: Source
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Effort:
    """The values of effort that a model takes."""

    values: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """USD per million tokens.

    `cached` is input read from the vendor's cache, `cache_write` input written into it; None: as `input`.
    """

    input: float
    output: float
    source: Source
    cached: float | None = None
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of one model; None where nothing is."""

    vendor: str
    model: str
    """Its row's name: of a dated snapshot the one without the date."""
    end: End | None = None
    limits: Limits | None = None
    effort: Effort | None = None
    thinks: bool = True
    """Whether it can think: so it is, unless it is known not to."""
    price: ModelPrice | None = None
    """Where the package of list prices does not know the model."""

    @property
    def max_output_tokens(self) -> int:
        """The longest answer, thinking included, to ask for where nobody says otherwise."""
        usual = THINKING_ANSWER if self.thinks else CHAT_ANSWER
        most = self.limits.max_output if self.limits is not None else None
        return usual if most is None else min(usual, most)


def model_of(vendor: str, model: str) -> ModelFacts | None:
    """What is known of `model`, or of the one it is a dated snapshot of.

    `vendor` is openai, anthropic, google or openrouter.
    """
    if vendor == "openrouter":
        return _behind_openrouter(model)
    known, name = models(), bare(vendor, model)
    return known.get((vendor, name)) or known.get((vendor, _SNAPSHOT.sub("", name)))


def bare(vendor: str, model: str) -> str:
    """The model's own name: Google's lists, and so some specs, put `models/` before it."""
    return model.removeprefix("models/") if vendor == "google" else model


def _behind_openrouter(model: str) -> ModelFacts | None:
    """Limits, and whether it thinks: prices, options and ends are OpenRouter's own."""
    vendor, _, name = model.partition(":")[0].partition("/")
    facts = model_of(vendor, name.replace(".", "-") if vendor == "anthropic" else name) if name else None
    if facts is None:
        return None
    return ModelFacts("openrouter", model, limits=facts.limits, thinks=facts.thinks)


@cache
def models() -> Mapping[tuple[str, str], ModelFacts]:
    """Every model by vendor and name."""
    rows = dict(packaged_yaml("models.yaml"))
    sources = {name: Source(**_dated(entry)) for name, entry in rows.pop("sources").items()}
    return MappingProxyType(
        {
            (vendor, model): _facts(vendor, model, row, sources)
            for vendor, listed in rows.items()
            for row in listed
            for model in row["models"]
        }
    )


def _dated(row: Mapping[str, Any]) -> Mapping[str, Any]:
    days = {key: date.fromisoformat(row[key]) for key in ("as_of", "retires") if key in row}
    return {**row, **days}


def _facts(vendor: str, model: str, row: Mapping[str, Any], sources: Mapping[str, Source]) -> ModelFacts:
    def block(make: type[Any], name: str) -> Any:
        if name not in row:
            return None
        entry = {key: tuple(value) if isinstance(value, list) else value for key, value in row[name].items()}
        return make(**{**_dated(entry), "source": sources[row[name]["source"]]})

    return ModelFacts(
        vendor,
        model,
        block(End, "end"),
        block(Limits, "limits"),
        block(Effort, "effort"),
        row.get("thinks", True),
        block(ModelPrice, "price"),
    )


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of vendor_errors.yaml; the file's head explains each key. An empty condition always holds."""

    cause: str
    status: Collection[int] = ()
    name: Collection[str] = ()
    quota: str = ""
    param: tuple[str, ...] = ()
    keys: Collection[str] = ()
    json: bool | None = None
    begins: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    as_of: date | None = None
    source: str = ""
    second_hand: bool = False


@cache
def error_rows() -> tuple[ErrorRow, ...]:
    """Every row, in the order in which they decide."""
    return tuple(ErrorRow(**_dated(row)) for row in frozen(packaged_yaml("vendor_errors.yaml")))
