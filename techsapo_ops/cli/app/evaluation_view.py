"""What `techsapo eval` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from techsapo_ops.cli.output import Output
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.evaluation.scores import Comparison, Graded, Score, providers, score, tiers
from techsapo_ops.wallbounce.evaluation.statistics import Interval

_SHOWN = 20
"""Cases that are listed with what their answers lack."""


def document(
    answers: Sequence[Graded], run: tuple[int, str, float], comparison: Comparison | None
) -> dict[str, Any]:
    """The run as `--json` prints it, and as a baseline is read.

    `run`: how many cases there are, why it ended, and USD of questions without an answer.
    """
    cases, ended, lost = run
    return {
        "simulated": any(a.attempt.simulated for a in answers),
        "cases": cases,
        "asked": len(answers),
        "ended": ended,
        "spent_usd": sum(a.attempt.spent for a in answers) + lost,
        "cached": sum(a.attempt.cached for a in answers),
        "rubrics_unread": sum(
            bool(a.case.rubric) and a.right and a.attempt.rubric is None and a.attempt.outcome != "refused"
            for a in answers
        ),
        "overall": score(answers),
        "tiers": tiers(answers),
        "providers": providers(answers, 1),
        "pairs": providers(answers, 2),
        "comparison": comparison,
        "answers": [
            {
                "case": a.case.id,
                "right": a.right,
                "declined": a.declined,
                "broken": a.broken,
                "confidence": a.attempt.confidence,
                "cost_usd": a.attempt.cost_usd,
            }
            for a in answers
        ],
    }


def show_scores(out: Output, made: dict[str, Any], answers: Sequence[Graded]) -> None:
    """Print the figures: all of them, then by tier, provider and pair, then what was wrong."""
    why = {
        "budget": msg("the next case might not fit into the budget"),
        "interrupted": msg("interrupted"),
        "failed": msg("the remaining cases were not answered"),
        "unsaved": msg("an answer could not be stored"),
    }.get(made["ended"], "")
    asked = msg("{asked} of {cases} cases answered, {usd} USD", asked=made["asked"], cases=made["cases"],
                usd=f"{made['spent_usd']:.4f}")  # fmt: skip
    out.data(f"{asked} ({why})" if why else asked)
    if made["simulated"]:
        out.data(msg("simulated: these figures say nothing about a vendor's models"))
    if made["cached"]:
        out.warn(
            msg(
                "{count} answers came from the cache at no cost: the cost and the seconds shown are too low",
                count=made["cached"],
            )
        )
    if made["rubrics_unread"]:
        out.warn(
            msg(
                "{count} rubrics were not judged: these cases are scored by their rules alone",
                count=made["rubrics_unread"],
            )
        )
    rows: list[tuple[str, Score]] = [("all", made["overall"]), *made["tiers"].items()]
    out.table(
        ["tier", "cases", "right", "accuracy", "declined", "overconfident", "usd/accepted", "usd/right",
         "s/accepted", "s/right"],
        [
            (name, s.asked, s.right, _interval(s.accuracy), s.declined, _interval(s.overconfident),
             _number(s.usd_per_accepted, 4), _number(s.usd_per_right, 4), _number(s.seconds_per_accepted, 1),
             _number(s.seconds_per_right, 1))
            for name, s in rows
        ],
    )  # fmt: skip
    if parts := {**made["providers"], **made["pairs"]}:
        out.table(
            ["provider", "answered", "right", "accuracy", "both wrong", "usd/right", "s/right"],
            [
                (name, p.answered, p.right, _interval(p.accuracy), _number(p.both_wrong, 0),
                 _number(p.usd_per_right, 4), _number(p.seconds_per_right, 1))
                for name, p in parts.items()
            ],
        )  # fmt: skip
    wrong = [a for a in answers if not a.right]
    for answer in wrong[:_SHOWN]:
        missing = ", ".join(answer.broken) or (msg("rubric") if not answer.declined else "")
        state = msg("declined") if answer.declined else msg("wrong")
        out.data(f"{answer.case.id}: {state} ({missing})" if missing else f"{answer.case.id}: {state}")
    if len(wrong) > _SHOWN:
        out.data(msg("and {count} more", count=len(wrong) - _SHOWN))


def show_comparison(out: Output, made: Comparison) -> None:
    """Print this run beside the other, and what so many cases can show."""
    out.data(
        msg(
            "{cases} cases in both runs; right only in this run: {this}, only in the other run: {other}; p "
            "= {p}",
            cases=made.cases,
            this=made.only_this_right,
            other=made.only_other_right,
            p=f"{made.p_accuracy:.3f}",
        )
    )
    out.data(
        msg(
            "cost of a question, compared with the other run: {usd} USD; p = {p}",
            usd=f"{-made.usd_less:+.4f}",
            p=f"{made.p_cost:.3f}",
        )
    )
    smallest = made.smallest_difference
    if smallest is None:
        out.data(msg("so few cases can't show a difference in accuracy"))
    else:
        out.data(
            msg(
                "with this number of cases, a difference in accuracy below {points} points would usually "
                "not show",
                points=f"{100 * smallest:.0f}",
            )
        )


def _interval(value: Interval | None) -> str:
    return "-" if value is None else f"{value.share:.2f} ({value.low:.2f}-{value.high:.2f})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
