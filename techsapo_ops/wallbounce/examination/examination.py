"""The cross-examination of one analysis: its candidate answers, who grades whom under which name, and how."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from techsapo_ops.wallbounce.answers import (
    Answer,
    ClaimGrade,
    Grade,
    Grades,
    Objection,
    Peer,
    Review,
    Risk,
    Stance,
)
from techsapo_ops.wallbounce.examination.claims import (
    Pair,
    Relations,
    Wording,
    claims_of,
    critical_claims,
    entails,
    hubs,
    leading,
    partition,
    screen,
    speaks_to_graders,
)
from techsapo_ops.wallbounce.question import Language
from techsapo_ops.wallbounce.verdict.commands import Dangerous, dangerous_in, identity
from techsapo_ops.wallbounce.verdict.verdict import Evidence


@dataclass(slots=True)
class Candidate:
    """An answer that may be given, with its claims and what else is known of it."""

    answer: Answer
    claims: tuple[str, ...]
    critical: frozenset[int]
    manipulation: bool
    dangers: tuple[Dangerous, ...]
    """Its dangerous commands, in the words of the question's language."""
    destructive: frozenset[tuple[str, str]]
    """What makes each of those that can't be undone the one it is."""
    wording: Wording

    @property
    def cause(self) -> str:
        """The root cause that the answer names, else its first critical claim."""
        return self.answer.root_cause or self.claims[min(self.critical)]

    @classmethod
    def of(cls, answer: Answer, language: Language) -> Candidate:
        """`answer` as a candidate: all of it is looked through here, once. `language` is the question's."""
        claims, manipulation, found = (
            claims_of(answer),
            speaks_to_graders(answer),
            dangerous_in(answer, language),
        )
        lasting = frozenset(identity(d) for d in found if d.lasting)
        critical = critical_claims(answer, claims, destroys=bool(lasting))
        return cls(answer, claims, critical, manipulation, found, lasting, Wording(answer))


@dataclass(slots=True)
class Examination:
    """Answers by index, and the grades by (grader, subject).

    How the answers stand to each other is settled by the grades that come first: agreement is that of
    independent answers and is never computed from what a bounce made of them. `_grades` is replaced when a
    revision is graded better.
    """

    candidates: list[Candidate] = field(default_factory=list)
    first_causes: list[str] = field(default_factory=list)
    """The cause that each answer named before any bounce."""
    _grades: dict[Pair, Grade] = field(default_factory=dict)
    _relations: Relations = field(default_factory=Relations)
    _revised: set[int] = field(default_factory=set)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers as they stand now."""
        return tuple(s.answer for s in self.candidates)

    def join(self, candidates: Sequence[Candidate]) -> None:
        """Take in answers that were given without a look at any other."""
        first = len(self.candidates)
        self.candidates.extend(candidates)
        self.first_causes.extend(candidate.cause for candidate in candidates)
        self._relations.part(screen([c.wording for c in self.candidates], first))

    def take(self, grader: int, subject: int, grade: Grade) -> None:
        """Take in a grade; the first one of a pair settles whether the two agree."""
        pair = (grader, subject)
        self._relations.take(pair, grade, self.candidates[subject].critical)
        self._grades[pair] = grade

    def ungraded(self) -> list[Pair]:
        """(grader, subject) of every pair without a grade."""
        everyone = range(len(self.candidates))
        return [(g, s) for g in everyone for s in everyone if g != s and (g, s) not in self._grades]

    def revise(self, index: int, candidate: Candidate, grades: dict[int, Grade]) -> None:
        """Put a revision, graded by `grades` (by grader), in the place of an answer."""
        self.candidates[index] = candidate
        self._revised.add(index)
        self._grades = {pair: g for pair, g in self._grades.items() if pair[1] != index}
        self._grades.update({(grader, index): g for grader, g in grades.items()})

    def grade(self, index: int) -> float | None:
        """Mean peer grade of an answer now; None where nobody gave one."""
        means = [g.mean for g in self.grades_of(index).values()]
        given = [mean for mean in means if mean is not None]
        return fmean(given) if given else None

    def grades_of(self, index: int) -> dict[int, Grade]:
        """The grades of an answer now, by grader."""
        return {grader: g for (grader, subject), g in self._grades.items() if subject == index}

    def agree(self, one: int, other: int) -> bool | None:
        """Whether two answers agree; None where they were not compared."""
        return self._relations.agree(one, other, self._silenced())

    def leaders(self) -> tuple[tuple[int, ...], ...]:
        """The largest clusters."""
        return leading(len(self.candidates), self._pairs(True), self._pairs(None))

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Every answer in one cluster, the largest first."""
        return partition(len(self.candidates), self._pairs(True), self._pairs(None), self._rank)

    def agreement(self) -> tuple[tuple[tuple[str, str], float], ...]:
        """How far the answers of two providers agree, by pair of their names; only of those compared."""
        names = [s.answer.provider for s in self.candidates]
        pairwise = self._relations.closenesses(len(names), self._silenced())
        return tuple(((names[i], names[j]), c) for i, j, c in pairwise)

    def objections(self, index: int) -> tuple[Objection, ...]:
        """The claims of an answer that some peer contradicts, with what is held against each."""
        candidate = self.candidates[index]
        against: dict[int, list[tuple[str, str]]] = {}
        for (grader, subject), grade in sorted(self._grades.items()):
            if subject != index:
                continue
            for number, given in enumerate(grade.claims):
                if given is not None and given.stance is Stance.CONTRADICTS:
                    held = given.evidence.strip() or self.candidates[grader].answer.root_cause
                    against.setdefault(number, []).append((self.candidates[grader].answer.provider, held))
        return tuple(
            Objection(
                candidate.answer.provider, candidate.claims[number], tuple(held), number in candidate.critical
            )
            for number, held in sorted(against.items())
        )

    def stances(self, index: int, claim: int) -> dict[int, Stance | None]:
        """How each grader stands to a claim of an answer now, None where it does not say."""
        return {grader: grade.stances[claim] for grader, grade in self.grades_of(index).items()}

    def reviews(self) -> tuple[Review, ...]:
        """Every grade as it stands now, with names."""
        return tuple(
            Review(
                self.candidates[grader].answer.provider,
                self.candidates[subject].answer.provider,
                self.candidates[subject].claims,
                grade,
            )
            for (grader, subject), grade in sorted(self._grades.items())
        )

    def destroys(self, index: int) -> bool:
        """Whether an answer, by its own word or by ours, leads to what can't be undone."""
        candidate = self.candidates[index]
        return candidate.answer.risk is Risk.DESTRUCTIVE or bool(candidate.destructive)

    def evidence(self) -> Evidence:
        """What a verdict is made from.

        The chosen answer is the best graded one of the best graded of the largest clusters.
        """
        count, silenced = len(self.candidates), self._silenced()
        agreeing, unknown = self._pairs(True), self._pairs(None)
        rank = [self._rank(i) for i in range(count)]
        cluster = max(
            leading(count, agreeing, unknown),
            key=lambda c: (
                not silenced & set(c),
                self._compared(c),
                fmean(rank[i] for i in c),
                [-i for i in c],
            ),
        )
        chosen = max(hubs(cluster, agreeing), key=lambda i: (rank[i], -i))
        candidate = self.candidates[chosen]
        given = self.grades_of(chosen).values()
        return Evidence(
            count=count,
            chosen=chosen,
            cluster=cluster,
            consensus=self._relations.consensus(count, silenced),
            grade=self.grade(chosen),
            relations=tuple(i == chosen or self.agree(chosen, i) for i in range(count)),
            now=self._now(chosen) if chosen in self._revised else (),
            graders=sum(g.correctness is not None for g in given),
            contradicted=any(self._outvoted(chosen, claim) for claim in candidate.critical),
            destructive_split=self.destroys(chosen) and not self._unanimous(chosen, cluster),
            manipulation=candidate.manipulation,
            ungraded=bool(self.ungraded()) or not all(g.whole for g in self._grades.values()),
            self_confidence=candidate.answer.self_confidence,
            scores=tuple((i, m) for i, g in self.grades_of(chosen).items() if (m := g.mean) is not None),
            closeness=self._relations.closenesses(count, silenced),
        )

    def _now(self, index: int) -> tuple[bool | None, ...]:
        """By answer, whether its author entails a revision."""
        grades, critical = self.grades_of(index), self.candidates[index].critical
        held = {grader: entails(grade, critical) for grader, grade in grades.items()}
        return tuple(i == index or held.get(i) for i in range(len(self.candidates)))

    def _pairs(self, agree: bool | None) -> frozenset[Pair]:
        return self._relations.pairs(len(self.candidates), agree, self._silenced())

    def _silenced(self) -> frozenset[int]:
        """An answer that speaks to its graders agrees with nobody."""
        return frozenset(i for i, candidate in enumerate(self.candidates) if candidate.manipulation)

    def _compared(self, cluster: tuple[int, ...]) -> bool:
        everyone = range(len(self.candidates))
        return any(self.agree(i, j) is not None for i in cluster for j in everyone if i != j)

    def _rank(self, index: int) -> float:
        """The grade by which answers are ordered: one that nobody graded comes last."""
        grade = self.grade(index)
        return 0.0 if grade is None else grade

    def _outvoted(self, index: int, claim: int) -> bool:
        stances = list(self.stances(index, claim).values())
        return stances.count(Stance.CONTRADICTS) > stances.count(Stance.ENTAILS)

    def _unanimous(self, chosen: int, cluster: tuple[int, ...]) -> bool:
        """All answers agree, and each of them proposes every destructive command of the chosen one."""
        if len(cluster) < len(self.candidates):
            return False
        wanted = self.candidates[chosen].destructive
        return all(self.destroys(i) and wanted <= s.destructive for i, s in enumerate(self.candidates))


@dataclass(frozen=True, slots=True)
class GradingForm:
    """What one grader gets: anonymous peers in a shuffled order, which answer each of them is.

    A first form shows all claims. One for what a reply left out shows those alone.
    """

    grader: int
    peers: tuple[Peer, ...]
    subjects: tuple[int, ...]
    shown: tuple[tuple[int, ...], ...]
    """By peer, the numbers of the claims that it is shown with."""
    whole: tuple[int, ...]
    """By peer, how many claims the answer has."""

    def rest(self, given: Mapping[int, Grade]) -> GradingForm | None:
        """The form with what `given`, the grades by subject, lacks; None where nothing is missing."""
        places: list[int] = []
        peers, shown = [], []
        for place, subject in enumerate(self.subjects):
            grade = given.get(subject)
            if grade is not None and grade.whole:
                continue
            lacking = [n for n in self.shown[place] if grade is None or grade.claims[n] is None]
            texts = dict(zip(self.shown[place], self.peers[place].claims, strict=True))
            places.append(place)
            shown.append(tuple(lacking))
            peers.append(replace(self.peers[place], claims=tuple(texts[n] for n in lacking)))
        if not places:
            return None
        subjects = tuple(self.subjects[p] for p in places)
        return GradingForm(
            self.grader, tuple(peers), subjects, tuple(shown), tuple(self.whole[p] for p in places)
        )


def grading_forms(
    candidates: Sequence[Candidate], pairs: Iterable[tuple[int, int]], draw: random.Random
) -> tuple[GradingForm, ...]:
    """One form for each grader of `pairs` (grader, subject). Nobody grades itself.

    Order and labels are drawn anew for each grader, so that neither says anything of the author.
    """
    by_grader: dict[int, list[int]] = {}
    for grader, subject in pairs:
        if grader != subject:
            by_grader.setdefault(grader, []).append(subject)
    made = []
    for grader in sorted(by_grader):
        subjects = sorted(by_grader[grader])
        draw.shuffle(subjects)
        peers = tuple(
            _peer(chr(ord("A") + place), candidates[subject]) for place, subject in enumerate(subjects)
        )
        whole = tuple(len(p.claims) for p in peers)
        made.append(GradingForm(grader, peers, tuple(subjects), tuple(tuple(range(n)) for n in whole), whole))
    return tuple(made)


def believed(form: GradingForm, grades: Grades) -> dict[int, Grade]:
    """The grades of a reply by subject: the first one of each peer that runs along the claims it was shown.

    Unknown labels, and grades with more or fewer claims than were shown, are left out.
    """
    places = {p.label: place for place, p in enumerate(form.peers)}
    by_subject: dict[int, Grade] = {}
    for grade in grades.grades:
        place = places.get(grade.label)
        if place is None or len(grade.claims) != len(form.shown[place]):
            continue
        claims: list[ClaimGrade | None] = [None] * form.whole[place]
        for number, claim in zip(form.shown[place], grade.claims, strict=True):
            claims[number] = claim
        by_subject.setdefault(form.subjects[place], Grade(grade.label, tuple(claims), *grade.scores))
    return by_subject


def _peer(label: str, candidate: Candidate) -> Peer:
    """The answer without its author; its claims are those that count, also where the text was plain."""
    answer = candidate.answer
    return Peer(label, answer.text, answer.root_cause, candidate.claims, answer.commands)
