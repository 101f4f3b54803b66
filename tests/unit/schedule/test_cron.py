from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.cron import next_run

CASES = read_yaml((Path(__file__).parents[2] / "cases/cron.yaml").read_text(encoding="utf-8"))


@each_row("expression, now, zone, expected", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_next_run_is_cron_s(expression: str, now: str, zone: str, expected: str | None) -> None:
    found = next_run(expression, datetime.fromisoformat(now), ZoneInfo(zone))
    assert found == (datetime.fromisoformat(expected) if expected else None)


@each_row(
    "expression",
    ["", "* * * *", "60 * * * *", "* * * * 8", "* * * * 5-2", "* * * * */0", "* * * * 1-5/x", "a b c d e"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="not a cron expression"):
        next_run(expression, datetime.now(UTC), UTC)
