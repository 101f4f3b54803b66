"""The verdict in words below an answer, for clients that show the text of a completion and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from techsapo_ops.serve.bodies.answer import AnswerBody
from techsapo_ops.wallbounce.language import Language


@dataclass(frozen=True, slots=True)
class _Words:
    verdict: str
    outcomes: Mapping[str, str]
    confidence: str
    consensus: str
    needs: str
    tier: str
    dissent: str
    grade: str
    ungraded: str
    agreed: str
    failed: str
    simulated: str
    colon: str


_WORDS: Mapping[Language, _Words] = {
    "ja": _Words(
        verdict="判定",
        outcomes={"accepted": "採用", "unsettled": "未確定", "refused": "回答保留"},
        confidence="信頼度",
        consensus="合意度",
        needs="基準",
        tier="段階",
        dissent="別の見解",
        grade="評価",
        ungraded="評価なし",
        agreed="一致した回答",
        failed="回答しなかったプロバイダー",
        simulated="シミュレーションの回答です。モデルの回答ではありません",
        colon="：",
    ),
    "en": _Words(
        verdict="Verdict",
        outcomes={"accepted": "accepted", "unsettled": "unsettled", "refused": "no reliable answer"},
        confidence="confidence",
        consensus="consensus",
        needs="needs",
        tier="tier",
        dissent="Another view",
        grade="graded",
        ungraded="not graded",
        agreed="Agreed",
        failed="Did not answer",
        simulated="Simulated: no model has answered",
        colon=": ",
    ),
}


def _graded(grade: float | None, words: _Words) -> str:
    return words.ungraded if grade is None else f"{words.grade} {grade:.2f}"


def with_notes(answer: AnswerBody) -> str:
    """The answer's text, and below it verdict, scores, and who agrees, dissents or failed."""
    words = _WORDS[answer.language]
    consensus = "–" if answer.consensus is None else f"{answer.consensus:.2f}"
    scores = (
        f"{words.tier} {answer.tier}",
        f"{words.confidence} {answer.confidence:.2f} ({words.needs} {answer.thresholds.confidence:.2f})",
        f"{words.consensus} {consensus} ({words.needs} {answer.thresholds.consensus:.2f})",
    )
    lines = [(words.verdict, f"{words.outcomes[answer.outcome]}; {', '.join(scores)}")]
    agreed = [p.name for p in answer.providers if p.agrees]
    failed = [p.name for p in answer.providers if p.status == "failed"]
    lines += [(words.agreed, ", ".join(agreed))] if len(agreed) > 1 else []
    lines += [
        (words.dissent, f"{d.root_cause} ({d.provider}, {_graded(d.grade, words)})") for d in answer.dissent
    ]
    lines += [(words.failed, ", ".join(failed))] if failed else []
    told = [f"- {name}{words.colon}{value}" for name, value in lines]
    told += [f"- {words.simulated}"] if answer.simulated else []
    return "\n".join((answer.answer, "", "---", *told))
