"""What a person reads on a phone at 03:10: first what is seen, without any model, then the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from techsapo_ops.catalogue.translations import Language, in_language
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.findings import Missing
from techsapo_ops.incidents.material import Kind
from techsapo_ops.messages import joined, msg
from techsapo_ops.serve.incidents.story import Drawn
from techsapo_ops.stores.incidents.rows import Incident

_MOST_UNREAD = 3
_KINDS: Mapping[Kind, str] = {
    "metrics": msg("metrics"), "logs": msg("logs"), "changes": msg("changes"), "host": msg("host facts"),
    "runbook": msg("runbook"), "knowledge": msg("own pages"), "like": msg("earlier incidents"),
}  # fmt: skip
"""Kinds of evidence, as they are said."""


def first_message(incident: Incident, pack: Pack, language: Language) -> str:
    """One sentence, three facts, and what was looked at."""
    count = incident.alerts
    said = msg("{count} alerts", count=count) if count > 1 else msg("1 alert")
    title = msg(
        "Incident {number}: {title} ({said})", number=incident.number, title=incident.title, said=said
    )
    return _text((title, *seen_lines(pack)), language)


def seen_lines(pack: Pack) -> tuple[str, ...]:
    """Three facts, and what was looked at."""
    return (*map(_fact, pack.facts()), _looked_at(pack))


def verdict_message(incident: Incident, pack: Pack, drawn: Drawn, language: Language) -> str:
    """One sentence, two facts, the next check, and who else thinks otherwise."""
    said, *lines = lines_of(pack, drawn)
    return _text((msg("Incident {number}: {said}", number=incident.number, said=said), *lines), language)


def lines_of(pack: Pack, drawn: Drawn) -> tuple[str, ...]:
    """The same, without the incident."""
    verdict = drawn.verdict
    lines = [sentence_of(drawn), *map(_fact, pack.facts(2, verdict.cited))]
    if verdict.checks:
        lines.append(msg("Next check: {command}", command=shlex.join(verdict.checks[0].argv)))
    for other in verdict.dissent[:1]:
        who = ", ".join(other.providers)
        lines.append(msg("{who} names another cause: {cause}", who=who, cause=other.cause))
    return tuple(lines)


def sentence_of(drawn: Drawn) -> str:
    """The verdict in one sentence, in words and without a number: how often such are right is not known."""
    said = _sentence(drawn)
    return msg("simulated: {said}", said=said) if drawn.simulated else said


def _sentence(drawn: Drawn) -> str:
    verdict = drawn.verdict
    cause = verdict.causes[0].cause if verdict.causes else ""
    match verdict.outcome:
        case "cause":
            return msg("the cause is probably: {cause}", cause=cause)
        case "guess":
            return msg("only a guess, because only the timing fits: {cause}", cause=cause)
        case "false_alarm":
            return msg("probably a false alarm: {cause}", cause=cause)
        case "evidence_only":
            return msg("there is evidence, but no verdict ({why})", why=drawn.declined or _failed(drawn))
        case "not_enough_evidence":
            if not verdict.missing:
                return msg("the evidence is not enough to name a cause")
            what = joined(", ", map(_lacking, verdict.missing[:_MOST_UNREAD]))
            return msg("the evidence is not enough to name a cause; missing: {what}", what=what)


def stopped_message(incident: Incident, why: str, language: Language) -> str:
    """That there will be no verdict, and why."""
    said = msg("Incident {number}: no verdict ({why})", number=incident.number, why=why)
    return in_language(said, language)


def _lacking(missing: Missing) -> str:
    kind = _KINDS[missing.kind]
    return msg("{kind} of {name}", kind=kind, name=missing.of) if missing.of else kind


def _text(lines: Iterable[str], language: Language) -> str:
    return "\n".join(in_language(line, language) for line in lines)


def _failed(drawn: Drawn) -> str:
    return "; ".join(f"{name}: {why}" for name, why in drawn.failed)


def _fact(piece: Piece) -> str:
    return f"• [{piece.id}] {piece.fact}"


def _looked_at(pack: Pack) -> str:
    read, every = len(pack.read), len(pack.read) + len(pack.unread)
    if not pack.unread:
        return msg("Looked at all {every} sources.", every=every)
    unread = ", ".join(each.source for each in pack.unread[:_MOST_UNREAD])
    more = "" if len(pack.unread) <= _MOST_UNREAD else " …"
    return msg(
        "Looked at {read} of {every} sources; not seen: {unread}",
        read=read,
        every=every,
        unread=unread + more,
    )
