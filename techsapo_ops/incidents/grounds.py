"""Whether evidence holds what a claim names. Pure, and by words alone, so that anybody can follow it.

A claim names things and topics. Things are words as only machines write them (`used_memory`, `/var/lib`,
`v12`), and the services and hosts of this incident. Topics are what causes are about, in either language, as
catalogue/topics.yaml has them: disk, memory, certificate …

A cause is held by the pieces that it cites where each thing and each topic that it names stands in one of
them, in its text, source, service or host; and so does the service that it blames. A link of its chain is
held where its own pieces have one of what it names, and the pieces of the whole claim every thing of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.catalogue.topics import plain, topics_in
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import Kind

OBSERVED: frozenset[Kind] = frozenset({"metrics", "logs", "changes", "host"})
"""Kinds that were observed in this incident. What was written before it explains, and supports nothing."""
SUPPORT = 2
"""Different observed kinds that support a cause."""
_TOKEN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./:@-]*", re.ASCII)
_AMOUNT = re.compile(r"[\d.,:%/-]+[a-zA-Z%]{0,3}", re.ASCII)
"""Amounts and times, which a model may round: `98%`, `3.5GB`, `03:10`, `5xx`."""
_DOTTED = re.compile(r"[A-Za-z]{2}\.[A-Za-z]{2}")
_HUMP = re.compile(r"[a-z][A-Z]")
_WORD = re.compile(r"[a-z][a-z_-]{3,}|[a-z]*\d[a-z0-9._-]+|[\u30a0-\u30ff\u3400-\u9fff]{2,}")
_GENERIC = frozenset({
    "after", "applied", "apply", "because", "been", "before", "change", "changed", "deploy",
    "deployed", "error", "errors", "event", "failed", "from", "have", "host", "image", "into",
    "release", "released", "reload", "restart", "restarted", "seconds", "service", "services",
    "start", "started", "stop", "stopped", "than", "that", "this", "total", "update", "updated",
    "upgrade", "upgraded", "version", "were", "when", "which", "with", "変更", "適用", "更新",
})  # fmt: skip
"""Words that say nothing of what joins two pieces."""
_OF_ANY_CHANGE = frozenset({"release", "configuration"})
"""Topics that join a change to nothing."""


@dataclass(frozen=True)
class Grounds:
    """The pieces of `pack`, to be looked at again and again. `known` are the stack's own names."""

    pack: Pack
    known: Known

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """By id, all that stands in a piece."""
        return {p.id: plain(f"{p.source} {p.service} {p.host} {p.text}") for p in self.pack.pieces}

    @cached_property
    def _names(self) -> re.Pattern[str]:
        subject, pieces = self.pack.subject, self.pack.pieces
        names = {*self.known.services, *self.known.hosts, *subject.services, *subject.hosts}
        names |= {name for piece in pieces for name in (piece.service, piece.host)} - {""}
        longest_first = sorted((re.escape(plain(name)) for name in names), key=len, reverse=True)
        return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(longest_first) or '(?!)'})(?![a-z0-9])")

    def things(self, text: str) -> frozenset[str]:
        """The things that `text` names, as they are compared."""
        tokens = (token.rstrip(".:/-@") for token in _TOKEN.findall(text))
        machines = {plain(token) for token in tokens if _of_a_machine(token)}
        return frozenset({*self._names.findall(plain(text)), *(t for t in machines if not topics_in(t))})

    def hold_cause(self, cause: str, service: str, ids: Iterable[str]) -> bool:
        """Whether the pieces `ids` hold all that a cause names, and the service that it blames."""
        held = self._together(ids)
        named = self.things(cause) | ({plain(service)} if service else frozenset())
        return (
            bool(held) and all(name in held for name in named) and topics_in(plain(cause)) <= topics_in(held)
        )

    def hold_link(self, says: str, ids: Iterable[str], of_claim: Iterable[str]) -> bool:
        """Whether the pieces `ids` hold one thing that a link names, and those of its claim every one."""
        own, whole, things = self._together(ids), self._together(of_claim), self.things(says)
        shared = topics_in(plain(says)) & topics_in(own) or self._words(plain(says)) & self._words(own)
        return bool(shared or any(thing in own for thing in things)) and all(
            thing in whole for thing in things
        )

    def is_guess(self, cause: str, service: str, ids: Iterable[str]) -> bool:
        """Whether only the time joins a change among the pieces `ids` to others that are not enough alone."""
        pieces = [piece for each in ids if (piece := self.pack.piece(each)) and piece.kind in OBSERVED]
        changes = [piece for piece in pieces if piece.kind == "changes"]
        others = [piece for piece in pieces if piece.kind != "changes"]
        left = [piece.id for piece in others]
        enough = len(kinds_of(self.pack, left)) >= SUPPORT and self.hold_cause(cause, service, left)
        return bool(changes) and not enough and not any(self._joined(c, o) for c in changes for o in others)

    def _joined(self, change: Piece, other: Piece) -> bool:
        said, shown = plain(change.text), plain(other.text)
        topics = (topics_in(said) & topics_in(shown)) - _OF_ANY_CHANGE
        return bool(topics or self._words(said) & self._words(shown))

    def _together(self, ids: Iterable[str]) -> str:
        return "\n".join(self.texts[each] for each in ids)

    def _words(self, text: str) -> frozenset[str]:
        """The telling words of a `plain` text: no name of a service or a host, which everything here has."""
        return frozenset(_WORD.findall(self._names.sub(" ", text))) - _GENERIC


def kinds_of(pack: Pack, ids: Iterable[str]) -> frozenset[Kind]:
    """The observed kinds of the pieces `ids`."""
    pieces = (pack.piece(each) for each in ids)
    return frozenset(piece.kind for piece in pieces if piece is not None and piece.kind in OBSERVED)


def _of_a_machine(token: str) -> bool:
    """Whether `token` is written as only machines write."""
    if _AMOUNT.fullmatch(token):
        return False
    mixed = any(c.isdigit() for c in token) and any(c.isalpha() for c in token)
    shaped = "_" in token or token[:1] == "/" or _DOTTED.search(token) or len(_HUMP.findall(token)) > 1
    return bool(mixed or shaped)
