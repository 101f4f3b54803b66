"""One analysis, from the question to the verdict: answers, grades, bounces, escalations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer, Critique, Grade
from techsapo_ops.wallbounce.calls import Afford, Calls, Slots, cheapest
from techsapo_ops.wallbounce.context import Bounced, Escalated
from techsapo_ops.wallbounce.examination.examination import Candidate, Examination, GradingForm, grading_forms
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.providers.prices import worst_of_escalation, worst_of_round
from techsapo_ops.wallbounce.providers.provider import SIMULATED, AskRevision, Provider
from techsapo_ops.wallbounce.question import CASCADE, HANDED_TO, Policy, TaskType
from techsapo_ops.wallbounce.verdict import integrate, next_step
from techsapo_ops.wallbounce.verdict.calibration import Calibration
from techsapo_ops.wallbounce.verdict.check import Check
from techsapo_ops.wallbounce.verdict.commands import asks_for_danger
from techsapo_ops.wallbounce.verdict.next_step import (
    Bounce,
    Escalation,
    next_tier,
    outcome,
    reason_to_escalate,
)
from techsapo_ops.wallbounce.verdict.record import versioned
from techsapo_ops.wallbounce.verdict.verdict import Outcome, Verdict, decisive, judge

SHARES = {"answer": 0.45, "grade": 0.6, "revise": 0.4, "regrade": 0.6, "blind": 0.5, "cascade": 0.3}
"""Share of the time that is left which a phase may take, so that the phases after it still have some."""
SETTLE = 0.02
"""Share of the whole time kept for settling, so that our caller's own deadline is not reached."""
WORTH_A_PHASE = 0.1
"""Share of the whole time below which no further round or provider is begun."""
OUT_OF_TIME = "out_of_time"
"""Note of a verdict that another provider might have settled, had there been time."""
FEWEST = 2
"""Providers without which nothing can be compared."""


class Run:
    """The state of one analysis. Used once."""

    def __init__(
        self,
        calls: Calls,
        providers: Sequence[Provider],
        policy: Policy,
        calibration: Calibration,
        draw: random.Random,
        afford: Afford,
    ) -> None:
        self._calls = calls
        self._providers = tuple(providers)
        self._tiers = policy.tiers
        self._calibration = calibration
        self._draw = draw
        self._afford = afford
        self._rounds_left = policy.max_bounces
        self._lonely = len(self._providers) < FEWEST
        self._round = 0
        self._clock = asyncio.get_running_loop().time
        self._whole = policy.deadline
        self._end = self._clock() + policy.deadline * (1 - SETTLE)
        self._slots = Slots(calls, afford, policy.deadline * WORTH_A_PHASE)
        self._tier = calls.context.task_type
        self._examination = Examination()
        self._check: Check | None = None
        self._authors: list[Provider] = []
        self._asked: list[Provider] = []
        self._failures: list[Failure] = []
        self._bounces: list[Bounce] = []
        self._escalations: list[Escalation] = []

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The providers that gave no answer."""
        return tuple(self._failures)

    async def answers(self) -> int:
        """Ask the tier's providers, and in the place of one that fails the next in the spec's order.

        Returns how many answered.
        """
        question = self._calls.question
        if self._tier == CASCADE and not asks_for_danger(question):
            memory = self._calls.context.memory
            first, *spares = cheapest(self._providers, () if memory is None else memory.answered)
            await self._join([first], self._limit("cascade"), spares)
            return len(self._authors)
        handed, self._tier = self._tier == CASCADE, HANDED_TO if self._tier == CASCADE else self._tier
        wanted = self._tiers[self._tier].providers
        await self._join(self._providers[:wanted], self._limit("answer"), self._providers[wanted:])
        if handed and self._authors:
            self._escalated("dangerous_question", self._authors)
        return len(self._authors)

    async def settle(self) -> Analysis:
        """Grade, bounce and escalate until the verdict stands or nothing is left to do."""
        if self._lonely:
            return self._analysis(self._verdict(), "lonely")
        await (self._checked() if self._tier == CASCADE else self._examine())
        while True:
            verdict, stalled = await self._bounced(self._verdict())
            destroys = self._examination.destroys(verdict.chosen)
            wanted = self._tiers[self._tier].confidence
            reason = reason_to_escalate(verdict, wanted, destructive=destroys, stalled=stalled)
            if destroys and self._tier == CASCADE:
                reason = "destructive"
            if reason is None:
                return self._analysis(verdict, None)
            obstacle = await self._escalate(reason)
            if obstacle is not None:
                return self._analysis(verdict, obstacle)

    async def _join(
        self, providers: Sequence[Provider], limit: float, spares: Sequence[Provider] = ()
    ) -> None:
        came = await self._slots.filled(providers, spares, limit)
        self._asked.extend(p for p, _ in came)
        self._failures.extend(r for _, r in came if isinstance(r, Failure))
        self._authors.extend(p for p, r in came if isinstance(r, Candidate))
        self._examination.join([r for _, r in came if isinstance(r, Candidate)])

    async def _checked(self) -> None:
        """Let the cheapest that was not asked check the only answer; not where the panel sits anyway."""
        (candidate,) = self._examination.candidates
        left = cheapest([p for p in self._providers if p not in self._asked])
        if self._examination.destroys(0) or not left:
            return
        forms = grading_forms([candidate], [(1, 0)], self._draw)
        names, checker = [candidate.answer.provider], left[0]
        (given,) = await self._calls.grades(
            [(checker, None, form) for form in forms], self._limit("cascade"), names, self._afford
        )
        version = self._calls.versions.get(checker.name, "")
        self._check = Check(checker.name, checker.model, given.get(0), version)

    async def _examine(self) -> None:
        """Let every grade be given that is not there yet."""
        forms = grading_forms(self._examination.candidates, self._examination.ungraded(), self._draw)
        given = await self._graded(forms, self._examination.candidates, self._limit("grade"))
        for (grader, subject), grade in given.items():
            self._examination.take(grader, subject, grade)

    async def _graded(
        self, forms: Iterable[GradingForm], candidates: Sequence[Candidate], limit: float
    ) -> dict[tuple[int, int], Grade]:
        work = [(self._authors[s.grader], self._examination.candidates[s.grader].answer, s) for s in forms]
        names = [candidate.answer.provider for candidate in candidates]
        graded = await self._calls.grades(work, limit, names, self._afford)
        return {
            (form.grader, subject): grade
            for (_, _, form), grades in zip(work, graded, strict=True)
            for subject, grade in grades.items()
        }

    def _verdict(self) -> Verdict:
        rule = self._tiers[self._tier]
        voices: tuple[Answer | Check, ...] = self._examination.answers
        check, evidence = self._check, self._examination.evidence()
        if check is not None:
            evidence, voices = check.evidence(self._examination.candidates[0]), (*voices, check)
        models = [versioned(each.model, each.version) for each in voices]
        weights = self._calibration.weights(self._tier, models, evidence.chosen, evidence.stood)
        return judge(evidence, rule, weights)

    async def _bounced(self, verdict: Verdict) -> tuple[Verdict, bool]:
        """Bounce while it helps; the verdict after it, and whether a bounce was tried in vain."""
        wanted = self._tiers[self._tier].confidence
        tried = False
        while next_step.within_reach(verdict, wanted) and self._rounds_left > 0 and self._time_for_more():
            contested = self._contested()
            if not contested or not await self._afford(self._bounce_cost(contested)):
                break
            self._rounds_left -= 1
            self._round += 1
            tried = True
            await self._round_of(contested)
            before, verdict = decisive(verdict.confidence, verdict.notes), self._verdict()
            if next_step.stalled(before, decisive(verdict.confidence, verdict.notes)):
                break
        return verdict, tried and not verdict.accepted

    def _contested(self) -> dict[int, tuple[Critique, ...]]:
        """The critiques by author. Only those who may be chosen are asked: the largest clusters' members."""
        members = sorted({i for cluster in self._examination.leaders() for i in cluster})
        by_author = {i: next_step.critiques(self._examination.objections(i)) for i in members}
        return {i: critiques for i, critiques in by_author.items() if critiques}

    async def _round_of(self, contested: Mapping[int, tuple[Critique, ...]]) -> None:
        examination = self._examination
        work = [
            (self._authors[i], examination.candidates[i].answer, critiques)
            for i, critiques in contested.items()
        ]
        revised = await self._calls.revisions(work, self._limit("revise"))
        candidates = list(examination.candidates)
        for index, answer in zip(contested, revised, strict=True):
            if answer is not None:
                candidates[index] = Candidate.of(answer, self._calls.question.language)
        new = [i for i in contested if candidates[i] is not examination.candidates[i]]
        pairs = [(g, s) for g in range(len(candidates)) for s in new if g != s]
        given = await self._graded(
            grading_forms(candidates, pairs, self._draw), candidates, self._limit("regrade")
        )
        decided = [self._decide(i, candidates[i], i in new, given, contested[i]) for i in contested]
        for index, candidate, grades in decided:
            if grades:
                examination.revise(index, candidate, grades)

    def _decide(
        self,
        index: int,
        candidate: Candidate,
        revised: bool,
        given: Mapping[tuple[int, int], Grade],
        critiques: Sequence[Critique],
    ) -> tuple[int, Candidate, dict[int, Grade]]:
        """The grades with which a revision takes its answer's place, none where it does not."""
        grades = {g: grade for (g, s), grade in given.items() if s == index} if revised else {}
        before = self._examination.grade(index)
        # Graders that fell silent would let the mean rise by themselves: their old grade stands.
        earlier = self._examination.grades_of(index)
        means = [g.mean for g in (earlier | grades).values()] if grades else []
        after = fmean(known) if (known := [mean for mean in means if mean is not None]) else None
        regraded = grades.keys() == earlier.keys() and all(g.covers(earlier[i]) for i, g in grades.items())
        counts = next_step.counts(before, after) and regraded and not candidate.manipulation
        claims = tuple(c.claim for c in critiques)
        made = Bounce(self._round, candidate.answer.provider, claims, before, after, counts)
        self._bounces.append(made)
        self._calls.context.tell(
            Bounced(self._calls.question.request_id, self._calls.context.task_type, made)
        )
        return index, candidate, grades if counts else {}

    async def _escalate(self, reason: str) -> str | None:
        """Step up with blind providers, then examine; else what stands in the way."""
        tier, joining = self._above()
        if tier is None:
            return "top"
        if not self._time_for_more():
            return "time"
        if not await self._afford(self._escalation_cost(joining)):
            return "budget"
        self._tier, self._check = tier, None
        self._escalated(reason, joining)
        spares = [p for p in self._providers if p not in self._asked and p not in joining]
        await self._join(joining, self._limit("blind"), spares)
        await self._examine()
        return None

    def _escalated(self, reason: str, joining: Sequence[Provider]) -> None:
        made = Escalation(reason, self._tier, tuple(p.name for p in joining))
        self._escalations.append(made)
        self._calls.context.tell(
            Escalated(self._calls.question.request_id, self._calls.context.task_type, made)
        )

    def _above(self) -> tuple[TaskType | None, list[Provider]]:
        """The next tier that somebody joins, and who; no tier where nobody is left to ask."""
        spare = [p for p in self._providers if p not in self._asked]
        tier = next_tier(self._tier)
        while tier is not None:
            joining = spare[: max(0, self._tiers[tier].providers - len(self._authors))]
            if joining:
                return tier, joining
            tier = next_tier(tier)
        return None, []

    def _limit(self, phase: str) -> float:
        return max(0.0, self._end - self._clock()) * SHARES[phase]

    def _time_for_more(self) -> bool:
        return self._end - self._clock() >= self._whole * WORTH_A_PHASE

    def _bounce_cost(self, contested: Mapping[int, tuple[Critique, ...]]) -> float:
        question, answers = self._calls.question, self._examination.answers
        asks = {i: AskRevision(question, answers[i], critiques) for i, critiques in contested.items()}
        return worst_of_round(self._authors, asks)

    def _escalation_cost(self, joining: Sequence[Provider]) -> float:
        answers = self._examination.answers
        return worst_of_escalation(self._authors, answers, joining, self._calls.question)

    def _analysis(self, verdict: Verdict, obstacle: str | None) -> Analysis:
        came, note = outcome(verdict, obstacle)
        notes = verdict.notes + ((note,) if note else ())
        if obstacle == "time":
            notes += (OUT_OF_TIME,)
        verdict = replace(verdict, notes=notes, outcome=came, accepted=came is Outcome.ACCEPTED)
        examination, question = self._examination, self._calls.question
        chosen = examination.candidates[verdict.chosen]
        added = integrate.amendments(examination, verdict) if came is not Outcome.REFUSED else ()
        destructive, hazards = integrate.dangers(chosen, added, question.language)
        unsettled, reviews = examination.objections(verdict.chosen), examination.reviews()
        if (check := self._check) is not None:
            unsettled, reviews = check.objections(chosen), check.reviews(chosen)
        others = integrate.dissent(examination, verdict)
        open_ = integrate.hypotheses(examination) if came is Outcome.REFUSED else ()
        analysis = Analysis(
            question=question,
            task_type=self._calls.context.task_type,
            answers=examination.answers,
            failures=self.failures,
            verdict=verdict,
            simulated=any(
                p.kind == SIMULATED
                for p in self._providers
                if p in self._asked or (check is not None and p.name == check.provider)
            ),
            cost_usd=self._calls.cost_usd,
            tier=self._tier,
            text="",
            reviews=reviews,
            unsettled=unsettled,
            dissent=others,
            amendments=added,
            destructive=destructive,
            hazards=hazards,
            bounces=tuple(self._bounces),
            escalations=tuple(self._escalations),
            hypotheses=open_,
            later_failures=tuple(self._calls.later_failures),
            check=check,
        )
        return replace(analysis, text=integrate.text(analysis))

    def agreement(self) -> tuple[tuple[tuple[str, str], float], ...]:
        """Mean share of claims entailed both ways, by pair of provider names."""
        return self._examination.agreement()
