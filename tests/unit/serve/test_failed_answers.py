"""What is told of calls that brought no answer: they may cost money all the same."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.serve.answer_body import problem_of
from techsapo_ops.serve.progress import as_document
from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.causes import usual_cause
from techsapo_ops.wallbounce.events import Failed
from techsapo_ops.wallbounce.failures import Cause, Failure, FailureKind


@each_row("kind", [FailureKind.TIMEOUT, FailureKind.BAD_ANSWER])
def test_where_every_provider_failed_the_problem_says_what_each_cost(kind: FailureKind) -> None:
    failures = tuple(
        Failure(name, "m", kind, "no", 1.0, cost_usd=usd, cause=usual_cause(kind))
        for name, usd in (("a", 0.25), ("b", 0))
    )
    error = AnalysisError("providers_failed", "every provider failed", failures=failures)
    told = problem_of(error).document()["providers"]
    assert [(p["name"], p["cost_usd"]) for p in told] == [("a", 0.25), ("b", 0)]


def test_a_streams_failure_says_what_it_cost() -> None:
    failure = Failure("a", "m", FailureKind.BAD_ANSWER, "cut off", 1.0, cost_usd=0.25, cause=Cause.CUT_OFF)
    told = as_document(Failed("req-1", "basic", failure))
    assert told is not None
    assert told["cost_usd"] == 0.25
