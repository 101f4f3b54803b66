"""One verdict of what every member of the panel found. Pure: the same findings give the same verdict.

Causes that mean the same are joined: the same service, evidence in common, and a topic in common where both
have one. A cause is supported by two pieces of different observed kinds. Where only the time joins a change
to the rest, as with the newest deploy, it is a guess. Nothing is said in percent, since nobody knows yet how
often such verdicts are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.catalogue.topics import plain, topics_in
from techsapo_ops.incidents.findings import Claim, Findings, Link, Missing, Step
from techsapo_ops.incidents.grounds import SUPPORT, Grounds, kinds_of
from techsapo_ops.incidents.material import Kind
from techsapo_ops.incidents.question import MOST_CHECKS, Inquiry

RULES = "rules"
"""The member that is no model. It may join others, and outweighs nobody."""
Outcome = Literal["cause", "guess", "false_alarm", "not_enough_evidence", "evidence_only"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A supported cause and who holds it. `kinds` are the observed ones of its evidence."""

    cause: str
    service: str
    chain: tuple[Link, ...]
    evidence: tuple[str, ...]
    kinds: frozenset[Kind]
    members: tuple[str, ...]
    against: tuple[str, ...]
    guess: bool = False
    """Only the time joins a change to the rest."""
    false_alarm: bool = False

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
    """What is believed. The first of `causes` is the verdict's, the others what else is supported."""

    outcome: Outcome
    asked: int
    """Providers whose reply could be read."""
    causes: tuple[Cause, ...] = ()
    checks: tuple[NextCheck, ...] = ()
    step: Step | None = None
    missing: tuple[Missing, ...] = ()
    abstained: tuple[str, ...] = ()
    struck: tuple[Struck, ...] = ()
    invented: int = 0
    """Causes that their evidence does not hold."""
    refused_checks: int = 0

    @property
    def dissent(self) -> tuple[Cause, ...]:
        """The causes of providers that do not hold the first one."""
        first = set(self.causes[0].providers) if self.causes else set()
        return tuple(cause for cause in self.causes[1:] if not first.issuperset(cause.providers))

    @property
    def cited(self) -> tuple[str, ...]:
        """The evidence of the cause that is believed."""
        return self.causes[0].evidence if self.causes and self.outcome != "not_enough_evidence" else ()

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
    supported = [
        (c, group) for group in _grouped(left) if len((c := _cause(group, grounds)).kinds) >= SUPPORT
    ]
    supported.sort(key=lambda each: _rank(each[0], each[1], grounds))
    causes = [cause for cause, _ in supported]
    models = [f for f in findings if f.member != RULES]
    abstained = tuple(f.member for f in models if f.abstains)
    best = causes[0] if causes else None
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
        tuple(_checks(findings, [group for _, group in supported])),
        next(steps, None),
        tuple(dict.fromkeys(each for f in findings for each in f.missing)) if open_yet else (),
        abstained,
        tuple(struck),
        sum(len(f.invented) for f in findings),
        sum(f.refused_checks for f in findings),
    )


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
    fullest = max(group, key=lambda claim: (claim.member != RULES, len(claim.evidence)))
    evidence = tuple(dict.fromkeys(each for claim in (fullest, *group) for each in claim.evidence))
    return Cause(
        fullest.cause,
        fullest.service,
        fullest.chain,
        evidence,
        kinds_of(grounds.pack, evidence),
        tuple(dict.fromkeys(claim.member for claim in group)),
        tuple(dict.fromkeys(each for claim in group for each in claim.against)),
        grounds.is_guess(fullest.cause, fullest.service, evidence),
        fullest.false_alarm,
    )


def _rank(cause: Cause, group: Sequence[Claim], grounds: Grounds) -> tuple[float, ...]:
    """What comes first: a provider's, no guess, held by many, named early, shown in many ways, strongly."""
    place = sum(claim.number for claim in group) / len(group)
    scores = sorted((p.score for p in grounds.pack.pieces if p.id in cause.evidence), reverse=True)
    held = len(cause.providers)
    return (not held, cause.guess, -held, place, -len(cause.kinds), -sum(scores[:SUPPORT]))


def _checks(findings: Iterable[Findings], groups: Sequence[Sequence[Claim]]) -> Iterator[NextCheck]:
    """The checks of members that hold a cause, or abstain; those that most propose come first."""
    places = {(claim.member, claim.number): n for n, group in enumerate(groups) for claim in group}
    holders = {member for member, _ in places}
    tests: dict[tuple[str, tuple[str, ...]], list[int | None]] = {}
    for found in findings:
        for each in found.checks if found.abstains or found.member in holders else ():
            place = places.get((found.member, each.claim))
            tests.setdefault((each.check, each.argv), []).append(place)
    for check, argv in sorted(tests, key=lambda key: -len(tests[key]))[:MOST_CHECKS]:
        yield NextCheck(
            check, argv, tuple(sorted({place for place in tests[check, argv] if place is not None}))
        )
