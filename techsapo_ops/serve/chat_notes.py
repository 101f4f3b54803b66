"""The verdict in words below an answer, for clients that show the text of a completion and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.answer import AnswerBody

_OUTCOMES: Mapping[str, str] = {
    "accepted": msg("accepted"),
    "unsettled": msg("unsettled"),
    "refused": msg("no reliable answer"),
}


def with_notes(answer: AnswerBody) -> str:
    """The answer's text, and below it verdict, scores, and who agrees, dissents or failed."""
    lines = [f"- {in_language(line, answer.language)}" for line in _lines(answer)]
    return "\n".join((answer.answer, "", "---", *lines))


def _lines(answer: AnswerBody) -> Iterator[str]:
    yield msg(
        "Verdict: {outcome}; tier {tier}, confidence {confidence:.2f} (needs {confidence_needed:.2f}), "
        "consensus {consensus} (needs {consensus_needed:.2f})",
        outcome=_OUTCOMES[answer.outcome],
        tier=answer.tier,
        confidence=answer.confidence,
        confidence_needed=answer.thresholds.confidence,
        consensus="–" if answer.consensus is None else f"{answer.consensus:.2f}",
        consensus_needed=answer.thresholds.consensus,
    )
    agreed = [p.name for p in answer.providers if p.agrees]
    if len(agreed) > 1:
        yield msg("Agreed: {names}", names=", ".join(agreed))
    for each in answer.dissent:
        if each.grade is None:
            yield msg("Another view: {cause} ({name}, not graded)", cause=each.root_cause, name=each.provider)
        else:
            yield msg(
                "Another view: {cause} ({name}, graded {grade:.2f})",
                cause=each.root_cause,
                name=each.provider,
                grade=each.grade,
            )
    failed = [p.name for p in answer.providers if p.status == "failed"]
    if failed:
        yield msg("Did not answer: {names}", names=", ".join(failed))
    if answer.simulated:
        yield msg("Simulated: no model has answered")
