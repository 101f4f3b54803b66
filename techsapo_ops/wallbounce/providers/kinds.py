"""How providers of one kind are made. Each kind has a module of its name in this folder, with its KIND."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret
from techsapo_ops.wallbounce.prices import list_price
from techsapo_ops.wallbounce.provider import WORST_CASE, Price, Provider
from techsapo_ops.wallbounce.providers.listed import NO_LIST, Listed


class ModelSpec(Protocol):
    """What a language model is made from: what the spec says of each."""

    @property
    def kind(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def timeout(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def max_output_tokens(self) -> int | None: ...


class KeyedSpec(ModelSpec, Protocol):
    """What it says of one that may be asked with an API key."""

    @property
    def api_key(self) -> Secret | None: ...
    @property
    def stream(self) -> bool: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, Secret] | None: ...
    @property
    def extra_body(self) -> Mapping[str, Any] | None: ...


def key(name: str, spec: KeyedSpec) -> str | None:
    """It wants a key, wherever it is."""
    lacks = spec.api_key is None and not spec.headers
    if lacks:
        return msg("no key; set providers.{name}.api_key or api_key_file", name=name)
    return sendable(name, spec)


def key_or_address(name: str, spec: KeyedSpec) -> str | None:
    """The vendor wants a key; what stands in its place at an address of its own may not."""
    return key(name, spec) if spec.base_url is None else sendable(name, spec)


def nothing(_name: str, _spec: Any) -> None:
    """It can always be called."""


def sendable(name: str, spec: KeyedSpec) -> str | None:
    """Where it has a key, a header can hold it: of what stands around it, such as a line's end, no notice is
    taken.
    """
    if spec.api_key is None or spec.api_key.reveal().strip().isprintable():
        return None
    return msg(
        "its key holds a control character; write providers.{name}.api_key anew, on one line", name=name
    )


def listed(spec: ModelSpec) -> Price | None:
    """The vendor's list price: it does not hold for another address's own models, but none is better."""
    return list_price(spec.kind, spec.model)


def unknown(_spec: ModelSpec) -> None:
    """Nobody says what its models cost."""


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of provider, by functions of its section of the spec.

    `make` takes the provider's name, its section and its price; a library behind it is imported when
    it is first used. `lacks` says why a call can't be made at all, None where it can. `price` is that of
    tokens where the spec gives none.
    """

    make: Callable[[str, Any, Price], Provider]
    lacks: Callable[[str, Any], str | None] = key_or_address
    price: Callable[[Any], Price | None] = listed


def provider_kind(kind: str) -> ProviderKind:
    """The kind of that name in the spec."""
    found: ProviderKind = import_module(f"{__package__}.{kind.replace('-', '_')}").KIND
    return found


async def listed_model(name: str, spec: Any) -> Listed:
    """What the vendor's list of models says of the model of a provider's section of the spec.

    One GET, which costs nothing. Raises ProviderError, which says why nothing was told.
    """
    provider = provider_kind(spec.kind).make(name, spec, WORST_CASE)
    ask: Callable[[], Awaitable[Listed]] | None = getattr(provider, "listed", None)
    return NO_LIST if ask is None else await ask()
