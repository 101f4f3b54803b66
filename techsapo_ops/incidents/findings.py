"""What one member of the panel found: its reply, read with patience and then held to the evidence.

How a reply is written does not matter: fences, prose around it, one value where a list was asked for. What it
means does. A cause that its evidence does not hold weighs nothing, however often it is repeated; a check that
is not listed, or whose values do not fit, is dropped; both are counted. No command and no address of a reply
gets any further, so that evidence that somebody wrote for the model changes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from techsapo_ops.adapters.model_reply import line_of, readable
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.checks import FREE, checks
from techsapo_ops.incidents.grounds import OBSERVED, Grounds
from techsapo_ops.incidents.material import Kind
from techsapo_ops.incidents.question import MOST_CAUSES, MOST_CHECKS, Inquiry

_LONGEST = 240
"""Characters of a sentence of a reply; the rest is cut off."""
_MOST_LINKS = 6
_MOST_MISSING = 3
_ID = re.compile(r"(?<![A-Za-z0-9])([MLCHRKI])[ -]?(\d{1,3})(?![0-9])", re.IGNORECASE)
_COMMAND = re.compile(r"://|`|\$\(|\|\s*\w|&&|;\s*\w+ +[-/~]|\bsudo\b|\bwww\.|[<>]\(")
"""Signs of a shell and of addresses, which no sentence about a cause needs."""
_STEP = r"^\s*{}[.)] "


@dataclass(frozen=True, slots=True)
class Link:
    """A step of a chain, and the ids of the evidence that holds it."""

    says: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A cause that its evidence holds. `evidence` are the ids of its links that are held, each once."""

    member: str
    number: int
    """Its place in the reply, from 1, by which checks name it."""
    cause: str
    service: str
    chain: tuple[Link, ...]
    evidence: tuple[str, ...]
    against: tuple[str, ...] = ()
    false_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Proposed:
    """A check out of the list with its command, and the number of the claim that it tests (0: none)."""

    check: str
    argv: tuple[str, ...]
    claim: int


@dataclass(frozen=True, slots=True)
class Step:
    """A numbered step of a runbook that is in the pack."""

    runbook: str
    number: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Evidence that would show the cause; `of` is a service or a host of the incident, or empty."""

    kind: Kind
    of: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What is left of a member's reply. `invented` are its causes that weigh nothing, as it named them."""

    member: str
    claims: tuple[Claim, ...] = ()
    checks: tuple[Proposed, ...] = ()
    step: Step | None = None
    abstains: bool = False
    missing: tuple[Missing, ...] = ()
    invented: tuple[str, ...] = ()
    refused_checks: int = 0


def findings_of(
    member: str, reply: str, inquiry: Inquiry, dangerous: Callable[[str], bool]
) -> Findings | None:
    """What `member` found by its `reply`; None where nothing of it can be read as the form.

    `dangerous` says whether a sentence holds a command that does harm.
    """
    document = readable(reply)
    outcome = _text(document.get("outcome")).casefold().replace(" ", "_")
    causes = _items(document.get("causes", document if "cause" in document else None))[:MOST_CAUSES]
    if not causes and "outcome" not in document and "missing" not in document:
        return None
    if outcome == "not_enough_evidence":
        causes = []

    def sentence(value: object) -> str:
        said = _text(value)
        return "" if _COMMAND.search(said) or dangerous(said) else said

    claims: list[Claim] = []
    invented: list[str] = []
    for number, given in enumerate(causes, 1):
        links = list(_links(given, sentence))
        claim = _held(
            Claim(
                member, number, sentence(given.get("cause")), _text(given.get("service")), tuple(links), (),
                tuple(_ids(given.get("against"))), outcome == "false_alarm",
            ),
            inquiry.grounds,
        )  # fmt: skip
        if claim is not None:
            claims.append(claim)
        else:
            invented.append(sentence(given.get("cause")))
    listed = _items(document.get("checks"))
    proposed = tuple(filter(None, (_proposed(each, inquiry) for each in listed[:MOST_CHECKS])))
    return Findings(
        member,
        tuple(claims),
        proposed,
        _step(document, inquiry),
        not causes,
        tuple(_missing(document.get("missing"), inquiry)),
        tuple(invented),
        len(listed) - len(proposed),
    )


def _held(claim: Claim, grounds: Grounds) -> Claim | None:
    """`claim` with the links that are held; None where its evidence does not hold it."""
    silent = frozenset() if claim.false_alarm else grounds.calm
    cited = [
        tuple(each for each in link.evidence if each in grounds.texts and each not in silent)
        for link in claim.chain
    ]
    every = tuple(dict.fromkeys(each for ids in cited for each in ids))
    links = (
        Link(link.says, grounds.holders(link.says, ids, every))
        for link, ids in zip(claim.chain, cited, strict=True)
    )
    chain = tuple(link for link in links if link.evidence)
    held = tuple(dict.fromkeys(each for link in chain for each in link.evidence))
    if not claim.cause or not grounds.hold_cause(claim.cause, claim.service, held):
        return None
    against = tuple(each for each in claim.against if each in grounds.texts)
    return replace(claim, chain=chain, evidence=held, against=against)


def _links(given: Mapping[str, Any], sentence: Callable[[object], str]) -> Iterator[Link]:
    """The links of a chain; where a model gave ids alone, the cause is its one link."""
    chain = given.get("chain")
    listed = chain if isinstance(chain, list) else [chain] if chain else []
    for each in listed[:_MOST_LINKS] or [given]:
        link = each if isinstance(each, dict) else {"link": each, "evidence": each}
        says = sentence(link.get("link") or link.get("cause"))
        if says:
            yield Link(says, tuple(dict.fromkeys(_ids(link.get("evidence")))))


def _ids(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        yield from (f"{letter.upper()}{int(number)}" for letter, number in _ID.findall(_text(each)))


def _proposed(given: Mapping[str, Any], inquiry: Inquiry) -> Proposed | None:
    check = checks().get(_text(given.get("check")))
    slots = given.get("slots")
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(slots, dict):
        pairs = slots.items()
    elif isinstance(slots, list):
        pairs = [(s.get("slot"), s.get("value")) for s in slots if isinstance(s, dict)]
    values = {name: str(value) for name, value in pairs if isinstance(name, str)}
    free = (value for slot, value in values.items() if slot in FREE)
    if not all(inquiry.grounds.mentions(value) for value in free):
        return None
    argv = None if check is None else check.filled(values, inquiry.known)
    return None if check is None or argv is None else Proposed(check.name, argv, _number(given.get("cause")))


def _missing(value: object, inquiry: Inquiry) -> Iterator[Missing]:
    for each in _items(value)[:_MOST_MISSING]:
        said = _text(each.get("kind")).casefold()
        for kind in OBSERVED & {said}:
            yield Missing(kind, inquiry.grounds.name(_text(each.get("of"))))


def _step(document: Mapping[str, Any], inquiry: Inquiry) -> Step | None:
    """The step that is named, where the runbook has one of that number: its words are the runbook's own."""
    number = _number(document.get("step"))
    for identity in _ids(document.get("runbook")):
        piece = inquiry.pack.piece(identity)
        if piece is not None and piece.kind == "runbook":
            has = re.search(_STEP.format(number), piece.text, re.MULTILINE)
            return Step(identity, number) if has else None
    return None


def _items(value: object) -> list[Mapping[str, Any]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _text(value: object) -> str:
    """`value` as one bounded line."""
    return " ".join(harmless(line_of(value)).split())[:_LONGEST]


def _number(value: object) -> int:
    digits = re.search(r"\d{1,3}", str(value)) if isinstance(value, int | str) else None
    return int(digits[0]) if digits else 0
