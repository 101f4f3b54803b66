"""The row of `health` about the last test of each provider, and the file that it is kept in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.health.provider_tests import (
    COMMAND,
    KeptTest,
    keep_tests,
    kept_tests,
    provider_parts,
    section_digest,
    untested,
)
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.health import HealthPart, PartStatus

DAY = datetime(2026, 11, 26, 12, tzinfo=UTC)


def spec(**changes: Any) -> Spec:
    section = {"kind": "openai", "model": "m", "api_key": "sk-1", **changes}
    return Spec.model_validate({"project": "p", "providers": {"a": section, "b": {**section, "model": "n"}}})


def kept(of: Spec, name: str, outcome: str = "ok", told: str = "", *, lasting: bool = False) -> KeptTest:
    return KeptTest(DAY, outcome, told, "", lasting, section_digest(of.providers[name]))


def row(of: Spec, file: Path) -> HealthPart | None:
    return next(provider_parts(of, file), None)


def test_simulated_providers_have_no_row(tmp_path: Path) -> None:
    assert row(Spec.model_validate({"project": "p"}), tmp_path / "t") is None
    assert not untested(Spec.model_validate({"project": "p"}), tmp_path / "t")


@each_row(
    "tests, status, detail",
    [
        ({}, "untested", "never tested"),
        ({"a": ("ok", ""), "b": ("warning", "x")}, "healthy", "2 of 2 passed the test of 2026-11-26"),
        ({"a": ("ok", "")}, "untested", "1 of 2 passed the test of 2026-11-26; b: never tested"),
        (
            {"a": ("ok", ""), "b": ("failed", "overloaded")},
            "untested",
            "1 of 2 passed the test of 2026-11-26; b: overloaded",
        ),
        (
            {"a": ("failed", "overloaded"), "b": ("failed", "no route")},
            "degraded",
            "0 of 2 passed the test of 2026-11-26; a: overloaded; b: no route",
        ),
        (
            {"a": ("ok", ""), "b": ("failed", "key refused", True)},
            "degraded",
            "1 of 2 passed the test of 2026-11-26; b: key refused",
        ),
    ],
)
def test_the_row_says_who_answered_and_is_degraded_by_what_lasts(
    tmp_path: Path, tests: dict[str, tuple[Any, ...]], status: str, detail: str
) -> None:
    file, of = tmp_path / "tests.json", spec()
    if tests:
        keep_tests(file, {n: kept(of, n, *given[:2], lasting=bool(given[2:])) for n, given in tests.items()})
    found = row(of, file)
    assert found is not None
    assert (found.status, found.detail) == (status, detail)
    assert (found.hint == "") == (status == "healthy")
    assert untested(of, file) == (len(tests) < 2)


@each_row(
    "change, counts",
    [
        ({"api_key": "sk-2"}, True),
        ({"attempts": 5}, True),
        ({"model": "o"}, False),
        ({"stream": True}, False),
    ],
)
def test_a_test_counts_until_something_changes_that_matters_to_it(
    tmp_path: Path, change: dict[str, Any], counts: bool
) -> None:
    before, after = spec(), spec(**change)
    keep_tests(tmp_path / "t", {name: kept(before, name) for name in "ab"})
    found = row(after, tmp_path / "t")
    assert found is not None
    assert (found.status is PartStatus.HEALTHY) == counts


def test_what_is_kept_is_read_as_it_was_written_and_holds_no_key(tmp_path: Path) -> None:
    of = spec()
    tests = {"a": kept(of, "a", "failed", "\x1b[2J壊れた\ud800", lasting=True)}
    keep_tests(tmp_path / "t", {"a": kept(of, "a")} | tests)
    assert "sk-1" not in (tmp_path / "t").read_text("utf-8")
    assert kept_tests(tmp_path / "t")["a"].at == DAY
    found = row(of, tmp_path / "t")
    assert found is not None
    assert "\x1b" not in found.detail


@each_row(
    "text",
    [
        "", "{", "[]", '{"form": 2, "providers": {}}', '{"form": 1, "providers": {"a": {}}}', "[" * 100_000,
        '{"form":1,"providers":{"a":{"at":"soon","outcome":"ok","told":"","remedy":"","lasting":false,"section":""}}}',
        '{"form":1,"providers":{"a":{"at":"2026-11-26","outcome":"ok","told":"","remedy":"","lasting":false,'
        '"section":"","more":1}}}',
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_is_told_and_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text, encoding="utf-8")
    with pytest.raises(OpsError, match="holds no tests of providers"):
        kept_tests(tmp_path / "t")
    found = row(spec(), tmp_path / "t")
    assert found is not None
    assert (found.status, found.hint) == ("untested", f"remove it; `{COMMAND}` makes it anew")
    assert untested(spec(), tmp_path / "t")
