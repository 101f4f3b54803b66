"""Whether evidence holds what a claim names. Pure, and by words alone, so that anybody can follow it.

A claim names things and topics. Things are words as only machines write them (`used_memory`, `/var/lib`,
`v12`), and the services and hosts of this incident. Topics are what causes are about, in either language, as
catalogue/topics.yaml has them: disk, memory, certificate …

A piece holds a link of a chain where it has a thing, a topic or a telling word of it in its text, source,
service or host, and where the pieces that the claim cites have every thing of it. They hold the cause where
they have the service that it blames, and every thing and every topic that it names, one at least. What the
alert itself names need not be shown again, nor a topic that is mostly a consequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.catalogue.topics import plain, topics_in
from techsapo_ops.catalogue.topics import topics as all_topics
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import Kind

OBSERVED: frozenset[Kind] = frozenset({"metrics", "logs", "changes", "host"})
"""Kinds that were observed in this incident. What was written before it explains, and supports nothing."""
SUPPORT = 2
"""Different observed kinds that support a cause."""
_TOKEN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./:@-]*", re.ASCII)
_AMOUNT = re.compile(r"p?[\d.,:%/-]+[a-zA-Z%]{0,3}", re.ASCII)
"""Amounts and times, which a model may round: `98%`, `3.5GB`, `03:10`, `5xx`, `p99`."""
_DOTTED = re.compile(r"[A-Za-z]{2}\.[A-Za-z]{2}")
_HUMP = re.compile(r"[a-z][A-Z]")
_WORD = re.compile(
    r"[a-z][a-z_-]{3,}|[a-z]+\d[a-z0-9._-]*|\d+[a-z][a-z0-9._-]*|(?!20\d\d(?!\d))\d{4,}|\d+(?:\.\d+){2,}"
    r"|[\u30a0-\u30ff\u3400-\u9fff]{2,}"
)
"""Words, names and numbers that tell: no amount, which mere chance has in common."""
_MOMENT = re.compile(r"\d\d:\d\d:\d\dz")
"""When something happened, as evidence says it, which chance has in common, too."""
_GENERIC = frozenset({
    "after", "applied", "apply", "because", "been", "before", "change", "changed", "deploy",
    "deployed", "error", "errors", "event", "failed", "fell", "from", "have", "host", "image",
    "instance", "into", "none", "onset", "release", "released", "reload", "restart", "restarted",
    "rose", "second", "seconds", "service", "services", "start", "started", "stop", "stopped",
    "than", "that", "this", "times", "total", "update", "updated", "upgrade", "upgraded", "version",
    "were", "when", "which", "with", "変更", "適用", "更新",
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
        return {p.id: plain(" ".join((p.source, p.service, p.host, _said(p)))) for p in self.pack.pieces}

    @cached_property
    def calm(self) -> frozenset[str]:
        """Ids of the pieces that say that things are in order, and so hold no cause."""
        return frozenset(piece.id for piece in self.pack.pieces if piece.calm)

    @cached_property
    def _alert(self) -> str:
        """What the alert names: its name, labels and expression, and not what somebody wrote to it."""
        subject = self.pack.subject
        return plain(" ".join((subject.alert, *subject.labels.values(), subject.expression)))

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
        machines = {plain(t) for t in tokens if _of_a_machine(t) and t.upper() not in self.texts}
        return frozenset({*self._names.findall(plain(text)), *machines})

    def name(self, text: str) -> str:
        """The service or host that `text` begins to name, as it is compared; "" where it names none."""
        named = self._names.search(plain(text))
        return named[0] if named else ""

    def mentions(self, value: str) -> bool:
        """Whether a piece has `value`, the name of a unit, a file or the like."""
        said = plain(value.removesuffix(".service"))
        return any(said in text for text in self.texts.values())

    def hold_cause(self, cause: str, service: str, ids: Iterable[str]) -> bool:
        """Whether the pieces `ids` hold a cause."""
        held, said = self._together(ids), self._names.sub(" ", plain(cause))
        topics, things = topics_in(said), self.things(cause)
        shared = topics & topics_in(held) or self._words(said) & self._words(held)
        if not shared and not any(thing in held for thing in things):
            return False
        known = f"{held}\n{self._alert}"
        lacking = {topic for topic in topics - topics_in(known) if not all_topics()[topic].effect}
        return not lacking and all(thing in known for thing in (*things, plain(service)))

    def holders(self, says: str, ids: Iterable[str], of_claim: Iterable[str]) -> tuple[str, ...]:
        """Those of the pieces `ids` that hold a link of a claim, which cites the pieces `of_claim`."""
        whole, said, things = self._together(of_claim), plain(says), self.things(says)
        if not all(thing in whole for thing in things):
            return ()
        topics, words = topics_in(said), self._words(said)

        def holds(text: str) -> bool:
            shared = topics & topics_in(text) or words & self._words(text)
            return bool(shared) or any(thing in text for thing in things)

        return tuple(each for each in ids if holds(self.texts[each]))

    def is_guess(self, cause: str, service: str, ids: Iterable[str]) -> bool:
        """Whether only the time joins a change among the pieces `ids` to others that are not enough alone."""
        pieces = [piece for each in ids if (piece := self.pack.piece(each)) and piece.kind in OBSERVED]
        changes = [piece for piece in pieces if piece.kind == "changes"]
        others = [piece for piece in pieces if piece.kind != "changes"]
        left = [piece.id for piece in others]
        enough = len(kinds_of(self.pack, left)) >= SUPPORT and self.hold_cause(cause, service, left)
        return bool(changes) and not enough and not any(self._joined(c, o) for c in changes for o in others)

    def _joined(self, change: Piece, other: Piece) -> bool:
        said, shown = plain(_said(change)), plain(_said(other))
        topics = (topics_in(said) & topics_in(shown)) - _OF_ANY_CHANGE
        return bool(topics or self._words(said) & self._words(shown))

    def _together(self, ids: Iterable[str]) -> str:
        return "\n".join(self.texts[each] for each in ids)

    def _words(self, text: str) -> frozenset[str]:
        """The telling words of a `plain` text: no name of a service or a host, which everything here has."""
        return frozenset(_WORD.findall(_MOMENT.sub(" ", self._names.sub(" ", text)))) - _GENERIC


def kinds_of(pack: Pack, ids: Iterable[str]) -> frozenset[Kind]:
    """The observed kinds of the pieces `ids`."""
    pieces = (pack.piece(each) for each in ids)
    return frozenset(piece.kind for piece in pieces if piece is not None and piece.kind in OBSERVED)


def _said(piece: Piece) -> str:
    return f"{piece.text}\n{piece.sample}"


def _of_a_machine(token: str) -> bool:
    """Whether `token` is written as only machines write."""
    if _AMOUNT.fullmatch(token):
        return False
    mixed = any(c.isdigit() for c in token) and any(c.isalpha() for c in token)
    shaped = "_" in token or token[:1] == "/" or _DOTTED.search(token) or len(_HUMP.findall(token)) > 1
    return bool(mixed or shaped)
