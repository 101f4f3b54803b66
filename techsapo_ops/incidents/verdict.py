"""One verdict of what every member of the panel found. Pure: the same findings give the same verdict.

Causes that mean the same are joined: the same service, evidence in common, and a topic in common where both
have one. A cause is supported by two pieces of different observed kinds. Where only the time joins a change to
the rest, as with the newest deploy, it is a guess. Nothing is said in percent: how often such verdicts are
right is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.catalogue.topics import plain, topics_in
from techsapo_ops.incidents.evidence import Piece
from techsapo_ops.incidents.findings import Claim, Findings, Link, Step
from techsapo_ops.incidents.grounds import OBSERVED, SUPPORT, Grounds, kinds_of
from techsapo_ops.incidents.material import Kind
from techsapo_ops.incidents.question import MOST_CHECKS, Inquiry

RULES = "rules"
"""The member that is no model. It may join others, and outweighs nobody."""
Outcome = Literal["cause", "guess", "false_alarm", "not_enough_evidence", "evidence_only"]
_MOST_MISSING = 3


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause and who holds it. `evidence` is as it was cited, `kinds` are its observed ones."""

    cause: str
    service: str
    chain: tuple[Link, ...]
    evidence: tuple[str, ...]
    kinds: frozenset[Kind]
    members: tuple[str, ...]
    against: tuple[str, ...] = ()
    guess: bool = False
    """Only the time joins a change to the rest."""
    false_alarm: bool = False

    @property
    def supported(self) -> bool:
        """Whether pieces of different kinds hold it."""
        return len(self.kinds) >= SUPPORT

    @property
    def providers(self) -> tuple[str, ...]:
        """The members that are models."""
        return tuple(member for member in self.members if member != RULES)


@dataclass(frozen=True, slots=True)
class Struck:
    """A cause that is ruled out, and why."""

    cause: str
    service: str
    evidence: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class NextCheck:
    """A check to make next, as it is typed, and the causes that it tests, by their place in the verdict."""

    check: str
    argv: tuple[str, ...]
    tests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is believed. The first of `causes` is the verdict's, the others are what else members hold."""

    outcome: Outcome
    asked: int
    """Providers whose reply could be read."""
    causes: tuple[Cause, ...] = ()
    checks: tuple[NextCheck, ...] = ()
    step: Step | None = None
    missing: tuple[str, ...] = ()
    abstained: tuple[str, ...] = ()
    struck: tuple[Struck, ...] = ()
    invented: int = 0
    """Causes of replies that their evidence does not hold."""
    refused_checks: int = 0

    @property
    def spent(self) -> bool:
        """Whether every cause was struck out, so that only another question to the panel helps."""
        return bool(self.struck) and not self.causes


def verdict_of(findings: Sequence[Findings], inquiry: Inquiry, struck: Sequence[Struck] = ()) -> Verdict:
    """The verdict of `findings` about the pack of `inquiry`, without the causes that are `struck` out.

    More abstentions than providers that hold the best cause: the evidence is not enough. Without a provider's
    reply there is evidence only, beside what the rules say of it.
    """
    grounds = inquiry.grounds
    left = [c for f in findings for c in f.claims if not any(_same(c, each) for each in struck)]
    causes = sorted((_cause(group, grounds) for group in _grouped(left)), key=lambda c: _rank(c, grounds))
    models = [f for f in findings if f.member != RULES]
    abstained = tuple(f.member for f in models if f.abstains)
    best = causes[0] if causes and causes[0].supported else None
    holders = len(best.providers) if best is not None else 0
    outcome: Outcome = "not_enough_evidence"
    if not models:
        outcome = "evidence_only"
    elif best is not None and holders >= max(1, len(abstained)):
        outcome = "false_alarm" if best.false_alarm else "guess" if best.guess else "cause"
    open_yet = outcome in {"not_enough_evidence", "guess"}
    steps = (f.step for f in findings if f.step is not None and (best is None or f.member in best.members))
    return Verdict(
        outcome,
        len(models),
        tuple(causes),
        tuple(_checks(findings, causes, left)),
        next(steps, None),
        tuple(_missing(findings))[:_MOST_MISSING] if open_yet else (),
        abstained,
        tuple(struck),
        sum(len(f.invented) for f in findings),
        sum(f.refused_checks for f in findings),
    )


def facts(verdict: Verdict, grounds: Grounds, count: int = 2) -> tuple[Piece, ...]:
    """The pieces to show first: of different kinds, those of the verdict's cause before others."""
    pieces = grounds.pack.pieces
    cited = verdict.causes[0].evidence if verdict.causes and verdict.outcome != "not_enough_evidence" else ()
    observed = [piece for piece in pieces if piece.kind in OBSERVED]
    order = sorted(observed, key=lambda piece: (piece.id not in cited, -piece.score))
    first = {piece.kind: piece for piece in reversed(order)}
    return tuple(sorted(order, key=lambda piece: first[piece.kind] is not piece)[:count])


def topics_of(cause: Claim | Cause | Struck) -> frozenset[str]:
    """What a cause is about, beside its service."""
    return topics_in(plain(cause.cause)) - topics_in(plain(cause.service))


def _same(one: Claim, other: Claim | Struck) -> bool:
    """Whether two causes mean the same."""
    services = {plain(one.service), plain(other.service)} - {""}
    topics, others = topics_of(one), topics_of(other)
    alike = not topics or not others or not topics.isdisjoint(others)
    alarm = not isinstance(other, Claim) or one.false_alarm == other.false_alarm
    return len(services) < 2 and alike and alarm and not set(one.evidence).isdisjoint(other.evidence)


def _grouped(claims: Iterable[Claim]) -> list[list[Claim]]:
    groups: list[list[Claim]] = []
    for claim in claims:
        group = next((each for each in groups if any(_same(claim, other) for other in each)), None)
        if group is None:
            groups.append([claim])
        else:
            group.append(claim)
    return groups


def _cause(group: Sequence[Claim], grounds: Grounds) -> Cause:
    """The group as one cause, in the words of the provider that cites most."""
    told = max(group, key=lambda claim: (claim.member != RULES, len(claim.evidence)))
    evidence = tuple(dict.fromkeys(each for claim in (told, *group) for each in claim.evidence))
    return Cause(
        told.cause,
        told.service,
        told.chain,
        evidence,
        kinds_of(grounds.pack, evidence),
        tuple(dict.fromkeys(claim.member for claim in group)),
        tuple(dict.fromkeys(claim.against for claim in group if claim.against)),
        grounds.is_guess(told.cause, told.service, evidence),
        told.false_alarm,
    )


def _rank(cause: Cause, grounds: Grounds) -> tuple[float, ...]:
    """What comes first: supported, no guess, held by many, shown in many ways, by the more telling pieces."""
    scores = sorted((p.score for p in grounds.pack.pieces if p.id in cause.evidence), reverse=True)
    return (-cause.supported, cause.guess, -len(cause.providers), -len(cause.kinds), -sum(scores[:SUPPORT]))


def _checks(
    findings: Sequence[Findings], causes: Sequence[Cause], left: Sequence[Claim]
) -> Iterable[NextCheck]:
    """The checks that members propose, each command once; those that most propose come first."""
    tests: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    votes: dict[tuple[str, tuple[str, ...]], int] = {}
    for found in findings:
        for each in found.checks:
            claim = next((c for c in left if (c.member, c.number) == (found.member, each.claim)), None)
            place = next((n for n, c in enumerate(causes) if claim is not None and _holds(c, claim)), None)
            key = each.check, each.argv
            votes[key] = votes.get(key, 0) + 1
            tests.setdefault(key, []).extend(() if place is None else (place,))
    for check, argv in sorted(tests, key=lambda key: -votes[key])[:MOST_CHECKS]:
        yield NextCheck(check, argv, tuple(sorted(set(tests[check, argv]))))


def _holds(cause: Cause, claim: Claim) -> bool:
    return claim.member in cause.members and set(claim.evidence) <= set(cause.evidence)


def _missing(findings: Iterable[Findings]) -> Iterable[str]:
    return dict.fromkeys(each.missing for each in findings if each.missing)
