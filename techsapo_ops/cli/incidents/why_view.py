"""Evidence on a terminal: a sentence, three facts, each piece with its id, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from techsapo_ops.cli.output import document
from techsapo_ops.cli.watch.services_view import age
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.messages import joined, msg

_MOST_LINES = 6
"""Lines of a piece; --json has all."""


def lines(pack: Pack, now: datetime) -> Iterator[str]:
    """All that is printed of a pack."""
    yield sentence(pack.subject, now)
    if not pack.pieces:
        yield msg("nothing unusual was seen")
    for number, piece in enumerate(pack.facts(), 1):
        yield msg("  {number}. {fact} [{id}]", number=number, fact=piece.fact, id=piece.id)
    for piece in pack.pieces:
        yield ""
        yield _head(piece)
        yield from _body(piece)
    yield ""
    yield sources(pack)


def sentence(subject: Subject, now: datetime) -> str:
    """What is investigated, in one sentence."""
    if not subject.alert:
        since = f"{subject.began.astimezone():%Y-%m-%d %H:%M}"
        about = subject.question or subject.summary or msg("the whole stack")
        return msg("{about} (since {since})", about=about, since=since)
    began = f"{subject.began.astimezone():%Y-%m-%d %H:%M:%S}"
    said = (
        msg("{alert}: {summary}", alert=subject.alert, summary=subject.summary)
        if subject.summary
        else subject.alert
    )
    if subject.ended is not None:
        ended = f"{subject.ended.astimezone():%H:%M}"
        return msg("{said} (from {began} to {ended})", said=said, began=began, ended=ended)
    return msg("{said} (since {began}, for {age})", said=said, began=began, age=age(subject.began, now))


def sources(pack: Pack) -> str:
    """How many sources were looked at, and which were not."""
    every = len(pack.read) + len(pack.unread)
    said = msg("looked at {read} of {every} sources", read=len(pack.read), every=every)
    if not pack.unread:
        return said
    away = joined("; ", (msg("{source} ({reason})", source=u.source, reason=u.reason) for u in pack.unread))
    return msg("{said}; not read: {away}", said=said, away=away)


def value(pack: Pack, material: Material) -> dict[str, Any]:
    """The same with stable keys."""
    subject = pack.subject
    return {
        "subject": {
            **document(subject), "labels": dict(subject.labels),
            "services": sorted(subject.services), "hosts": sorted(subject.hosts),
        },
        "from": material.start,
        "to": material.end,
        "pieces": pack.pieces,
        "read": list(pack.read),
        "unread": pack.unread,
    }  # fmt: skip


def _head(piece: Piece) -> str:
    when = f"{piece.at.astimezone():%H:%M:%S} " if piece.at is not None else ""
    where = "".join(f" {name}" for name in dict.fromkeys((piece.service, piece.host)) if name)
    return f"[{piece.id}] {when}{piece.source}{where}"


def _body(piece: Piece) -> Iterator[str]:
    shown = piece.text.strip().split("\n")
    yield from (f"     {line}" for line in shown[:_MOST_LINES])
    if len(shown) > _MOST_LINES:
        yield msg("     … {count} more lines", count=len(shown) - _MOST_LINES)
    if piece.sample:
        yield msg("     e.g. {sample}", sample=piece.sample.partition("\n")[0])
