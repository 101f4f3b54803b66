"""What `techsapo providers test` says of what it found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from rows import each_row

from techsapo_ops.cli.app.providers_view import all_well, show
from techsapo_ops.cli.output import Output
from techsapo_ops.spec.load import load
from techsapo_ops.wallbounce.providers.overview import ProviderTests, plan_tests
from techsapo_ops.wallbounce.providers.try_provider import Candidate, Check, Outcome, Tried

ANSWERED = Check("answer", Outcome.OK, "answered in 1.0 s")
TOO_DEAR = Check(
    "answer", Outcome.SKIPPED, "not asked: too dear", "`techsapo providers test a --at-most 0.3`"
)
CUT_OFF = Check("answer", Outcome.FAILED, "used up")
NOTHING = ProviderTests((), {}, {})


def tried(*checks: Check) -> Tried:
    return Tried("a", "openai", "m", checks)


def tests_of(*worst: float) -> ProviderTests:
    candidates = [SimpleNamespace(worst=usd, asked=usd > 0) for usd in worst]
    return ProviderTests(cast("tuple[Candidate, ...]", tuple(candidates)), {}, {})


tests_of.__test__ = False  # type: ignore[attr-defined]


@each_row(
    "checks, well, answered",
    [
        ([ANSWERED], True, 1),
        ([ANSWERED, Check("schema", Outcome.WARNING, "in words")], True, 1),
        ([CUT_OFF], False, 0),
        ([TOO_DEAR], False, 0),
        ([Check("list", Outcome.FAILED, "key refused")], False, 0),
    ],
)
def test_all_is_well_where_each_answered_and_nothing_failed(
    checks: list[Check], well: bool, answered: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [tried(*checks)]
    assert all_well(NOTHING, found) == well
    show(NOTHING, found, Output())
    said = capsys.readouterr()
    assert f"{answered} of 1 providers answered" in said.out
    assert ("next: techsapo up" in said.err) == well


@each_row("keys, well", [({}, False), ({"B": "sk-b"}, True)], ids=["none", "one"])
def test_where_no_key_at_all_is_set_nothing_was_tested_and_that_is_a_fault(
    keys: dict[str, str], well: bool
) -> None:
    text = (
        "project: x\nproviders:\n"
        "  a: {kind: openai, model: gpt-5.5, api_key: '${A}'}\n"
        "  b: {kind: openai, model: gpt-5.5, api_key: '${B}'}\n"
    )
    loaded = load(text, keys, lambda path: path, cross_check=False)
    assert all_well(plan_tests(loaded, (), 0.01), []) == well
