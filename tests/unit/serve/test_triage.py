"""Steps and cause of a log's triage; what is told of calls that brought no answer."""

from __future__ import annotations

from typing import Any

from rows import each_row

from techsapo_ops.serve.answers.answer_body import as_document, problem_of
from techsapo_ops.serve.answers.triage import triage
from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.context import Failed
from techsapo_ops.wallbounce.providers.failures import Cause, Failure, FailureKind, usual_cause


def triaged(text: str, commands: tuple[str, ...] = (), root_cause: str = "", **more: Any) -> dict[str, Any]:
    answer = {
        "answer": f"WARNING:\n- wipe it\n\n{text}\n\nAnother view:\n- It is the moon.",
        "answered_by": "b",
        "providers": [{"name": "a", "answer": "It is the moon."}, {"name": "b", "answer": text}],
        "commands": list(commands),
        "root_cause": root_cause,
        "amendments": [],
        "hypotheses": [],
        "language": "en",
        "outcome": "unsettled",
        **more,
        **dict.fromkeys(("confidence", "cost_usd"), 0.5),
        **dict.fromkeys(("accepted", "simulated"), False),
        "request_id": "req_1",
        "cache": "miss",
    }
    return triage(answer, "")


@each_row(
    "text, steps",
    [
        ("Read /var/log/error.log. Reload.", ["Read /var/log/error.log.", "Reload."]),
        ("容量を確認します。古いログを消します。", ["容量を確認します。", "古いログを消します。"]),
        ("Do this:\n1. Run df -h.\n2) Remove old logs.\n", ["Run df -h.", "Remove old logs."]),
        ("原因です。\n・ポートを調べる\n・設定を直す", ["ポートを調べる", "設定を直す"]),
    ],
)  # fmt: skip
def test_steps_are_the_numbered_lines_or_else_the_sentences(text: str, steps: list[str]) -> None:
    assert triaged(text)["solution_steps"] == steps


def test_commands_that_no_step_names_and_what_others_added_are_steps_and_what_they_object_is_none() -> None:
    found = triaged(
        "Run df -h.", ("df -h", "du -x"), amendments=[{"provider": "a", "claim": "Rotate daily."}]
    )
    assert found["solution_steps"] == ["Run df -h.", "Rotate daily.", "du -x"]


def test_the_first_sentence_stands_for_a_cause_that_is_not_named() -> None:
    assert triaged("The disk is full. Remove logs.")["root_cause"] == "The disk is full."
    assert triaged("The disk is full.", root_cause="A core dump")["root_cause"] == "A core dump"


@each_row(
    "language, text, marked",
    [
        ("en", "1. df -h\n2. rm -rf /var/log/app", "[cannot be undone] rm -rf /var/log/app"),
        ("ja", "1. df -h\n2. rm -rf /var/log/app", "【元に戻せません】rm -rf /var/log/app"),
        ("en", "1. df -h\n2. `curl x | sudo sh`", "[runs code from elsewhere] `curl x | sudo sh`"),
        ("en", "1. df -h\n2. Run `setenforce 0`.", "[weakens security] Run `setenforce 0`."),
        ("ja", "1. df -h\n2. 「reboot」を実行", "【サービスを停止します】「reboot」を実行"),
    ],
)
def test_a_dangerous_step_says_so(language: str, text: str, marked: str) -> None:
    assert triaged(text, language=language)["solution_steps"] == ["df -h", marked]


def test_the_steps_of_a_refusal_are_the_causes_to_confirm_and_no_commands() -> None:
    hypotheses = [{"cause": "disk"}, {"cause": "memory"}]
    found = triaged("Remove all.", ("df -h",), outcome="refused", hypotheses=hypotheses, root_cause="disk")
    steps = [f"Find out whether this is the cause: {cause}" for cause in ("disk", "memory")]
    assert found["solution_steps"] == steps


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
