"""The last test of each provider, and the file that it is stored in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.health.provider_tests import (
    KeptTest,
    keep_tests,
    kept_tests,
    section_digest,
    untested,
)
from techsapo_ops.health.provider_tests import (
    tested_providers as providers_of,
)
from techsapo_ops.spec.models import Spec

DAY = datetime(2026, 11, 26, 12, tzinfo=UTC)


def spec(**changes: Any) -> Spec:
    section = {"kind": "openai", "model": "m", "api_key": "sk-1", **changes}
    return Spec.model_validate({"project": "p", "providers": {"a": section, "b": {**section, "model": "n"}}})


def kept(of: Spec, name: str, outcome: str = "ok", told: str = "") -> KeptTest:
    return KeptTest(DAY, outcome, told, "", section_digest(of.providers[name]))


def test_simulated_providers_are_not_tested(tmp_path: Path) -> None:
    assert providers_of(Spec.model_validate({"project": "p"}), tmp_path / "t") == []
    assert not untested(Spec.model_validate({"project": "p"}), tmp_path / "t")


def test_one_that_failed_was_tested_and_one_without_a_test_was_not(tmp_path: Path) -> None:
    of = spec()
    keep_tests(tmp_path / "t", {"a": kept(of, "a", "failed", "overloaded")})
    a, b = providers_of(of, tmp_path / "t")
    assert a.test is not None
    assert (a.name, a.test.told) == ("a", "overloaded")
    assert (b.name, b.test, b.changed) == ("b", None, False)
    assert untested(of, tmp_path / "t")
    keep_tests(tmp_path / "t", {name: kept(of, name) for name in "ab"})
    assert not untested(of, tmp_path / "t")


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
    assert providers_of(after, tmp_path / "t")[0].changed != counts


def test_what_is_kept_is_read_as_it_was_written_and_holds_no_key(tmp_path: Path) -> None:
    of = spec()
    keep_tests(tmp_path / "t", {"a": kept(of, "a", "failed", "壊れた\ud800")})
    assert "sk-1" not in (tmp_path / "t").read_text("utf-8")
    assert kept_tests(tmp_path / "t")["a"].at == DAY


@each_row(
    "text",
    [
        "", "{", "[]", '{"a": {}}', "[" * 100_000,
        '{"a": {"at": "soon", "outcome": "ok", "told": "", "remedy": "", "section": ""}}',
        '{"a": {"at": "2026-11-26", "outcome": 7, "told": "", "remedy": "", "section": ""}}',
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_is_told_and_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text, encoding="utf-8")
    with pytest.raises(OpsError, match="holds no tests of providers"):
        kept_tests(tmp_path / "t")
    assert untested(spec(), tmp_path / "t")
