"""From an examination to what the user reads: the winner amended, dissent and danger shown, or a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from techsapo_ops.wallbounce.analysis import Amendment, Analysis, Dissent, Hypothesis
from techsapo_ops.wallbounce.answers import Objection, Risk, Stance
from techsapo_ops.wallbounce.examination.claims import LONGEST_CLAIM, cosine, grams
from techsapo_ops.wallbounce.examination.examination import Candidate, Examination
from techsapo_ops.wallbounce.question import Language
from techsapo_ops.wallbounce.verdict.commands import Dangerous, dangerous, destructive, identity
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED, Outcome, Verdict

SAME_CLAIM = 0.7
"""Cosine from which two undisputed claims say the same; taking one of two for a copy costs little here."""


@dataclass(frozen=True, slots=True)
class _Words:
    amendments: str
    destructive: str
    hazards: str
    unlisted: str
    unsettled: str
    dissent: str
    refused: str
    reasons: Mapping[str, str]
    hypotheses: str
    not_checked: str
    between: str


_WORDS: dict[Language, _Words] = {
    "ja": _Words(
        amendments="ほかの回答からの補足（異論なし）",
        destructive="【注意】元に戻せない操作が含まれます（網羅的ではありません）。実行前にバックアップと対象を確認してください",
        hazards="【注意】サービスの停止やセキュリティの低下を伴う操作が含まれます（網羅的ではありません）。"
        "影響を確認してから実行してください",
        unlisted="回答者がこの手順を元に戻せないものと申告しています",
        unsettled="未確定の点（反対意見あり）",
        dissent="別の見解",
        refused="確かな答えを出せません。",
        reasons={
            "refused_too_few_providers": "回答できるプロバイダーが2つ未満で、比べられません。",
            "not_compared": "評価が得られず、回答を比べられません。",
            "not_graded": "どのプロバイダーも回答を採点しませんでした。",
            "split": "2件の回答が一致しません。",
            "consensus_below_threshold": "回答が十分に一致しません。",
            "grade_below_threshold": "ほかのプロバイダーの評価が低いためです。",
            CONTRADICTED: "回答の中心となる主張には、支持よりも反対の評価が多くあります。",
            "destructive_not_unanimous": "元に戻せない操作を挙げていないプロバイダーがあります。",
            "answer_addresses_graders": "回答が評価者に指示を出そうとしています。",
            "refused_for_budget": "ほかのプロバイダーに尋ねる必要がありますが、予算が足りません。",
        },
        hypotheses="考えられる原因",
        not_checked="どの原因も確かめられていません。各回答のコマンドは、内容を確認してから実行してください。",
        between="",
    ),
    "en": _Words(
        amendments="Added from other answers (undisputed)",
        destructive="WARNING: this cannot be undone (may be incomplete). Check backup and target first",
        hazards="WARNING: this stops a service or weakens security (may be incomplete). "
        "Check what depends on it first",
        unlisted="the provider itself says that these steps cannot be undone",
        unsettled="Unsettled (contradicted by a peer)",
        dissent="Another view",
        refused="No reliable answer.",
        reasons={
            "refused_too_few_providers": "Fewer than two providers can answer, so nothing can be compared.",
            "not_compared": "Grades are missing, so the answers could not be compared.",
            "not_graded": "No provider scored the answer.",
            "split": "Two answers differ.",
            "consensus_below_threshold": "The answers do not agree enough.",
            "grade_below_threshold": "The other providers graded the answer too low.",
            CONTRADICTED: "More providers contradict the answer's main claim than support it.",
            "destructive_not_unanimous": "The answer contains a command that cannot be undone, and not every "
            "provider proposes it.",
            "answer_addresses_graders": "The answer tries to tell its graders what to do.",
            "refused_for_budget": "Another provider should be asked, but the budget does not allow it.",
        },
        hypotheses="Possible causes",
        not_checked="No cause is confirmed. Read each command in the individual answers before you run it.",
        between=" ",
    ),
}


def amendments(examination: Examination, verdict: Verdict) -> tuple[Amendment, ...]:
    """Claims of others that the chosen answer lacks: some peer entails them and none contradicts them.

    Its own author must be silent on them: what it entails it has said. A claim with a command that can't be
    undone is never taken over, and nothing of an answer that speaks to its graders.
    """
    added: list[Amendment] = []
    have: list[Counter[str]] | None = None
    for index, candidate in enumerate(examination.candidates):
        if index == verdict.chosen or candidate.manipulation:
            continue
        for number, claim in enumerate(candidate.claims):
            stances = examination.stances(index, number)
            if stances.get(verdict.chosen) is not Stance.SILENT:
                continue
            held = list(stances.values())  # what a peer leaves open may be against it
            if {None, Stance.CONTRADICTS} & set(held) or Stance.ENTAILS not in held or destructive(claim):
                continue
            if have is None:
                have = [grams(c) for c in examination.candidates[verdict.chosen].claims]
            counted = grams(claim)
            if all(cosine(counted, other) < SAME_CLAIM for other in have):
                have.append(counted)
                added.append(Amendment(candidate.answer.provider, claim))
    return tuple(added)


def dissent(examination: Examination, verdict: Verdict) -> tuple[Dissent, ...]:
    """The answers that differ from the chosen one, with the cause that each named by itself.

    One that came round to the chosen answer when it was bounced has dissented all the same.
    """
    return tuple(
        Dissent(candidate.answer.provider, examination.first_causes[index], examination.grade(index))
        for index, candidate in enumerate(examination.candidates)
        if verdict.relations[index] is False
    )


def hypotheses(examination: Examination) -> tuple[Hypothesis, ...]:
    """What each group of answers holds for the cause."""
    made = []
    for group in examination.groups():
        best = max(group, key=lambda i: (examination.grade(i) or 0.0, -i))
        names = tuple(examination.candidates[i].answer.provider for i in group)
        cause = examination.candidates[best].cause[:LONGEST_CLAIM]
        made.append(Hypothesis(cause, names, examination.grade(best)))
    return tuple(made)


def dangers(
    candidate: Candidate, added: Iterable[Amendment], language: Language
) -> tuple[tuple[Dangerous, ...], tuple[Dangerous, ...]]:
    """The dangerous commands of what the user reads: those that can't be undone, then those that stop a
    service or weaken security. Where only the provider speaks of the former, there is one without a name.
    """
    known = [*candidate.dangers, *(d for each in added for d in dangerous(each.claim, language))]
    once = {identity(d): d for d in known}.values()
    lasting = tuple(d for d in once if d.lasting)
    if not lasting and candidate.answer.risk is Risk.DESTRUCTIVE:
        lasting = (Dangerous("", "declared", _WORDS[language].unlisted),)
    return lasting, tuple(d for d in once if not d.lasting)


def text(analysis: Analysis) -> str:
    """What the user reads of `analysis`. Peers stay anonymous here: its other fields name them."""
    words = _WORDS[analysis.question.language]
    outcome = analysis.verdict.outcome
    if outcome is Outcome.REFUSED:
        return _refusal(analysis, words)
    parts = [analysis.answer.text.strip()]
    if analysis.hazards:
        parts.insert(0, _list(words.hazards, (_danger(d) for d in analysis.hazards)))
    if analysis.destructive:
        parts.insert(0, _list(words.destructive, (_danger(d) for d in analysis.destructive)))
    if analysis.amendments:
        parts.append(_list(words.amendments, (a.claim for a in analysis.amendments)))
    if outcome is Outcome.UNSETTLED and analysis.unsettled:
        parts.append(_list(words.unsettled, (_objection(o) for o in analysis.unsettled)))
    if analysis.dissent:
        parts.append(_list(words.dissent, dict.fromkeys(d.root_cause for d in analysis.dissent)))
    return "\n\n".join(parts)


def _refusal(analysis: Analysis, words: _Words) -> str:
    open_, notes = analysis.hypotheses, analysis.verdict.notes
    reasons = [why for note, why in words.reasons.items() if note in notes]
    if "split" in notes:
        reasons = [why for why in reasons if why != words.reasons["consensus_below_threshold"]]
    parts = [words.between.join([words.refused, *reasons])]
    if open_:
        # The same cause can stand twice where it is not known that two answers agree.
        named = Counter[str]()
        for each in open_:
            named[each.cause] += len(each.providers)
        parts.append(_list(words.hypotheses, (f"{cause} ({count})" for cause, count in named.items())))
        parts.append(words.not_checked)
    return "\n\n".join(parts)


def _list(title: str, lines: Iterable[str]) -> str:
    return "\n".join((f"{title}:", *(f"- {line}" for line in lines)))


def _danger(each: Dangerous) -> str:
    return f"`{each.command}` : {each.why}" if each.command else each.why


def _objection(each: Objection) -> str:
    held = next((evidence for _, evidence in each.against if evidence), "")
    return f"{each.claim} ⇔ {held}" if held else each.claim
