"""What `techsapo up` names as the next step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from techsapo_ops.cli.commands.up import _next


def next_of(untested: bool, *rows: tuple[str, str, str]) -> str:
    report: Any = SimpleNamespace(rows=[SimpleNamespace(kind=k, state=s, url=url) for k, s, url in rows])
    return _next(cast(Any, report), untested)


def test_providers_that_nobody_has_tested_are_tested_before_a_question_is_asked() -> None:
    assert next_of(True, ("app", "running", "")) == "techsapo providers test"


def test_with_tested_or_simulated_providers_a_question_is_next() -> None:
    assert next_of(False, ("app", "running", "")).startswith("techsapo ask ")
    assert next_of(False, ("redis", "running", "")) == "techsapo health"


def test_the_page_of_the_first_instance_stands_in_the_table_and_not_in_the_command() -> None:
    rows = (("redis", "running", "redis://localhost:6379"), ("app", "running", "http://localhost:4000"))
    assert next_of(False, *rows).startswith("techsapo ask ")
