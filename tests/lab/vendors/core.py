"""A vendor's stand-in: its wire format, what it was asked, and what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from aiohttp import web

from vendors.lists import Row
from vendors.refusals import Refused

Body = Mapping[str, Any] | None
Reply = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A call as the vendor understood it; `schema` is None where no structured output was asked for."""

    model: str
    system: str
    user: str
    schema: dict[str, Any] | None
    key: str
    body: dict[str, Any]
    unread: tuple[str, ...] = ()
    """Fields that the vendor passes over without a word."""


class Wire(Protocol):
    """A wire format."""

    kind: str
    """The kind of provider whose rows of tests/cases/provider_errors.yaml hold here."""
    prefix: str
    """Path of the base URL."""
    idle: bytes
    """What a stream holds while the model thinks."""
    rows: tuple[Row, ...]
    """The models that the vendor serves."""
    keyed: bool
    """Whether a call without a key is refused."""
    open_paths: tuple[str, ...]
    """What is told without a key all the same."""

    def key(self, request: web.Request) -> str:
        """The key that came along, empty if none did."""
        ...

    def unknown_key(self, key: str) -> Refused:
        """The refusal of a key that the vendor does not know, or of none."""
        ...

    def listed(self, request: web.Request, rows: list[Row]) -> Any:
        """What a GET is answered with: `rows` as the vendor's list of models, or one of them.

        Raises Refused.
        """
        ...

    def asked(self, request: web.Request, body: dict[str, Any]) -> Asked: ...

    def reply(
        self, model: str, text: str, finish: str = "stop", usage: bool = True, body: Body = None
    ) -> Reply:
        """The reply to `body`. `finish`: stop, length, filter, or the vendor's own word for why it ended."""
        ...

    def error(self, status: int, message: str, code: str) -> dict[str, Any]: ...

    def events(self, whole: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Name and data of the events of a stream that adds up to the reply `whole`."""
        ...

    def error_event(self, status: int, message: str, code: str) -> tuple[str, dict[str, Any]]:
        """The event by which the vendor tells an error in the middle of a stream."""
        ...


@dataclass
class Vendor:
    """What was asked of a vendor, which calls were dropped by the caller, tokens that were generated."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """What broke the vendor's rules; see rules/."""
    peers: set[object] = field(default_factory=set)
    """Addresses that called."""
    dropped: int = 0
    tokens: int = 0
    sent: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Mapping[str, Any] | None = None
    """A reply of tests/cases/provider_errors.yaml, given to every call."""
    key: str | None = None
    """The only key that is let in; None: any."""
    listed: int = 0
    """How often its models were asked for."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set, the models `held` and, of grades, `held-grades` keep their callers waiting."""
    retires: dict[str, date] = field(default_factory=dict)
    """Day on which its list of models says that one of them ends."""
