from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rows import each_row

from techsapo_ops.adapters.log_lines import line_level
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.stack.observed import LogLine
from techsapo_ops.watch.log_filter import LogFilter

CASES: list[dict[str, Any]] = read_yaml((Path(__file__).parents[2] / "cases/log_levels.yaml").read_text())
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@each_row("case", CASES, ids=lambda c: c["line"][:40])
def test_the_level_of_a_line_is_read_from_the_line(case: dict[str, Any]) -> None:
    assert line_level(case["line"]) == case["level"]


def chosen(choice: LogFilter, *lines: tuple[str, str, bool]) -> list[str]:
    made = [LogLine(service, text, NOON if timed else None) for service, text, timed in lines]
    return [line.text for line in choice.of(made)]


def test_a_traceback_goes_with_its_error_and_a_line_without_level_is_info() -> None:
    lines = (
        ("app-1", '{"level": "error", "message": "Request failed"}', True),
        ("app-2", '{"level": "info", "message": "HTTP request"}', True),
        ("app-1", "Traceback (most recent call last):", False),
        ("app-2", "another line", False),
        ("nginx", '{"requestId": "r1", "status": "200"}', True),
    )
    assert chosen(LogFilter(level="warn"), *lines) == [lines[0][1], lines[2][1]]
    assert len(chosen(LogFilter(level="info"), *lines)) == 5


def test_a_request_is_found_by_its_whole_id_in_every_services_lines() -> None:
    lines = (
        ("nginx", '{"requestId": "req_1", "status": "200"}', True),
        ("app-1", '{"level": "info", "requestId": "req_12"}', True),
        ("app-1", '{"level": "info", "requestId": "req_2", "detail": "not req_1"}', True),
        ("app-2", "plain words about req_1: refused", True),
        ("app-2", "plain words about req_1.5", True),
    )
    assert chosen(LogFilter(request="req_1"), *lines) == [lines[0][1], lines[3][1]]


def test_all_conditions_hold_together() -> None:
    choice = LogFilter("warn", "r1", re.compile("budget", re.IGNORECASE))
    assert chosen(
        choice,
        ("a", '{"level": "warn", "requestId": "r1", "message": "Budget is used up"}', True),
        ("a", '{"level": "info", "requestId": "r1", "message": "Budget"}', True),
        ("a", '{"level": "warn", "requestId": "r2", "message": "Budget"}', True),
        ("a", '{"level": "warn", "requestId": "r1", "message": "Provider failed"}', True),
    ) == ['{"level": "warn", "requestId": "r1", "message": "Budget is used up"}']
    assert not LogFilter()
    assert choice
