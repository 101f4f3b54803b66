"""What doctor says of models that end, on a day that the test names."""

from __future__ import annotations

from datetime import date
from typing import Any

from rows import each_row

from techsapo_ops.operations.doctor_models import look_at_models
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.diagnosis import Level

GPT: dict[str, Any] = {"kind": "openai", "model": "gpt-4.1", "api_key": "k"}


def found(today: date, **provider: Any) -> list[tuple[Level, str, str]]:
    spec = Spec.model_validate({"project": "p", "providers": {"gpt": {**GPT, **provider}}})
    return [(f.level, f.detail, f.remedy) for f in look_at_models(spec, today)]


@each_row(
    "today, level, when",
    [
        (date(2026, 11, 15), Level.WARNING, "in 60 days"),
        (date(2026, 11, 14), Level.NOTE, "in 61 days"),
        (date(2027, 1, 13), Level.WARNING, "in 1 day"),
        (date(2027, 1, 14), Level.WARNING, "which is over"),
        (date(2030, 1, 1), Level.WARNING, "which is over"),
    ],
)
def test_an_end_asks_for_something_from_sixty_days_before_on(today: date, level: Level, when: str) -> None:
    (told,) = found(today)
    assert told == (
        level,
        f"its vendor retires gpt-4.1 on 2027-01-14, {when} (as read on 2026-10-28)",
        "model: gpt-6-luna",
    )


@each_row(
    "provider",
    [
        {"model": "gpt-6.1-sol"},
        {"enabled": False},
        {"base_url": "https://x.openai.azure.com/openai/v1"},
        {"kind": "openai-compatible", "base_url": "http://127.0.0.1/v1"},
    ],
)
def test_what_does_not_end_or_is_not_asked_of_its_vendor_is_not_told(provider: dict[str, Any]) -> None:
    assert found(date(2027, 1, 14), **provider) == []
