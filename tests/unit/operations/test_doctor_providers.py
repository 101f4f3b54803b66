"""What doctor says of the last test of each provider, and what of a test is kept for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rows import each_row

from techsapo_ops.health.provider_tests import KeptTest, keep_tests, kept_tests, section_digest
from techsapo_ops.operations import provider_tests as testing
from techsapo_ops.operations.doctor_looks import look_at_tests
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.diagnosis import Level
from techsapo_ops.wallbounce.causes import Cause
from techsapo_ops.wallbounce.tried import Check, Outcome, Tried

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SPEC = Spec.model_validate(
    {"project": "p", "providers": {"a": {"kind": "openai", "model": "m", "api_key": "k"}}}
)
ANSWERED = Check("answer", Outcome.OK, "answered in 1.0 s")
RETIRES = Check("list", Outcome.WARNING, "m is retired on 2026-12-11", "the vendor names n")
BROKE_OFF = Check("grades", Outcome.WARNING, "broke off")


@each_row(
    "outcome, told, level, detail",
    [
        ("ok", "", Level.OK, "answered the test of 2026-11-26"),
        (
            "warning",
            RETIRES.detail,
            Level.WARNING,
            "answered the test of 2026-11-26, but: m is retired on 2026-12-11",
        ),
        ("failed", "cut off", Level.WARNING, "failed the test of 2026-11-26: cut off"),
    ],
)
def test_only_a_test_of_which_nothing_was_to_be_told_is_ok(
    tmp_path: Path, outcome: str, told: str, level: Level, detail: str
) -> None:
    file = tmp_path / "t"
    section = section_digest(SPEC.providers["a"])
    keep_tests(file, {"a": KeptTest(NOW, outcome, told, "do it" if told else "", section)})
    topology: Any = SimpleNamespace(spec=SPEC, layout=SimpleNamespace(provider_tests=file))
    (found,) = look_at_tests(topology, NOW.date())
    assert (found.level, found.detail, found.remedy) == (level, detail, "do it" if told else "")


@each_row(
    "checks, told, remedy",
    [
        ([ANSWERED], "", ""),
        ([RETIRES, ANSWERED, BROKE_OFF], f"{RETIRES.detail}; broke off", RETIRES.remedy),
        ([RETIRES, Check("answer", Outcome.FAILED, "gone", "x", Cause.MODEL)], "gone", "x"),
    ],
)
def test_an_end_is_kept_beside_whatever_else_was_the_matter(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checks: list[Check],
    told: str,
    remedy: str,
) -> None:
    async def found(_candidate: Any, _today: date) -> Tried:
        return Tried("a", "openai", "m", tuple(checks))

    monkeypatch.setattr(testing, "try_provider", found)
    candidates = cast("Any", (SimpleNamespace(name="a"),))
    tests = testing.ProviderTests(candidates, {"a": "digest"}, {}, {})
    layout: Any = SimpleNamespace(provider_tests=tmp_path / "t")
    testing.run_tests(tests, layout, NOW, lambda _tried: None, pytest.fail)
    kept = kept_tests(tmp_path / "t")["a"]
    assert (kept.told, kept.remedy) == (told, remedy)


@each_row("today, level", [(date(2027, 1, 1), Level.OK), (date(2027, 5, 1), Level.WARNING)])
def test_an_end_that_the_vendor_named_in_a_test_long_ago_is_warned_of_when_it_is_near(
    tmp_path: Path, today: date, level: Level
) -> None:
    section, end = section_digest(SPEC.providers["a"]), date(2027, 6, 1)
    keep_tests(tmp_path / "t", {"a": KeptTest(NOW, "ok", "", "", section, end)})
    topology: Any = SimpleNamespace(spec=SPEC, layout=SimpleNamespace(provider_tests=tmp_path / "t"))
    (found,) = look_at_tests(topology, today)
    assert found.level is level
    assert ("2027-06-01" in found.detail) == (level is Level.WARNING)
