"""The uptime of days of which a real Prometheus has some, half and nothing."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import servers

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.serve.bodies.uptime import UptimeBody, UptimeRowBody
from techsapo_ops.serve.uptime import DAYS, Uptime

pytestmark = pytest.mark.lab

STEP = 240
DAY = 86_400


def told(tmp_path: Path, samples: dict[str, list[tuple[int, int]]], now: float) -> UptimeBody:
    """What is told of a Prometheus with these samples: a value and its Unix seconds, by series."""
    lines = [
        line
        for name in sorted({series.partition("{")[0] for series in samples})
        for line in (
            f"# TYPE {name} gauge",
            *(
                f"{s} {v} {at}"
                for s, each in samples.items()
                if s.partition("{")[0] == name
                for v, at in each
            ),
        )
    ]
    (tmp_path / "days.txt").write_text("\n".join([*lines, "# EOF", ""]))
    argv = [servers.binary("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*argv, tmp_path / "days.txt", tmp_path / "tsdb"], check=True, capture_output=True)
    with servers.prometheus("scrape_configs: []\n", tmp_path) as server:
        return asyncio.run(Uptime(Prometheus(server.url), now=lambda: now).body())


def test_a_day_is_up_down_or_unknown_and_what_is_missing_is_never_up(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    midnight = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    noon = midnight - DAY // 2

    def looks(first: int, last: int, value: int = 1) -> list[tuple[int, int]]:
        return [(value, at) for at in range(first, last, STEP)]

    # Then nobody looked for two days and a half; a sample holds for five minutes.
    end = midnight - 3 * DAY - 600
    one = looks(midnight - 6 * DAY, end)
    two = looks(midnight - 6 * DAY, midnight - 5 * DAY)
    two += looks(midnight - 5 * DAY, midnight - 4 * DAY - DAY // 2, 0)
    two += looks(midnight - 4 * DAY - DAY // 2, end)
    both = looks(noon, midnight)
    up = 'up{job="techsapo-app",instance="app-%d"}'
    body = told(
        tmp_path,
        {up % 1: one + both, up % 2: two + both, "redis_up": looks(noon, midnight, 0)},
        midnight + 1,
    )
    assert body.watched == "ready"
    assert body.days[-1] == now.date().isoformat()
    assert len(body.days) == DAYS
    rows: dict[str, UptimeRowBody] = {row.name or row.kind: row for row in body.rows}
    assert list(rows) == ["any_instance", "app-1", "app-2", "redis"]
    answers, second = rows["any_instance"], rows["app-2"]
    assert answers.up[-8] is None
    assert answers.up[-7:-4] == [1, 1, 1], "one instance is enough"
    assert second.up[-7] == 1
    assert second.up[-6] == pytest.approx(0.5, abs=0.01)
    assert answers.up[-4:-2] == [None, None]
    assert answers.known[-4:-2] == [0, 0]
    assert answers.up[-2] == 1
    assert answers.known[-2] == pytest.approx(0.5, abs=0.01), "half a day is told as half a day"
    assert answers.up[:80] == [None] * 80
    assert rows["redis"].up[-2] == 0
    assert answers.known[-7] == pytest.approx(1, abs=0.01)


def test_of_questions_the_share_is_told_that_was_answered_by_their_number(tmp_path: Path) -> None:
    """Three of four fail, while the app is up all the time; the day before nobody asked."""
    now = datetime.now(UTC)
    midnight = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    of = 'techsapo_wallbounce_requests_total{job="techsapo-app",instance="app-1",status="%s"}'
    begin = midnight - 2 * DAY

    def counted(total: int, until: int) -> list[tuple[int, int]]:
        """A counter of which the last day but one holds all of `total`."""
        at = range(begin - DAY, until, 60)
        noon = begin + DAY // 2
        return [(max(0, min(total, (when - noon) // 600)), when) for when in at]

    body = told(
        tmp_path,
        {
            'up{job="techsapo-app",instance="app-1"}': [(1, at) for at in range(begin - DAY, midnight, STEP)],
            of % "success": counted(10, midnight),
            of % "error": counted(30, midnight),
            of % "refused": counted(70, midnight),
            of % "cancelled": counted(70, midnight),
        },
        midnight + 1,
    )
    questions, app = body.rows[0], body.rows[1]
    assert (questions.kind, app.kind) == ("questions", "any_instance")
    assert app.up[-3] == 1
    assert questions.up[-4:] == [None, pytest.approx(0.25, abs=0.001), None, None]
    assert questions.asked is not None
    assert questions.asked[-4:] == [0, 40, 0, 0]
    assert questions.known[-4:] == [0, 1, 0, 0]


def test_without_prometheus_nothing_is_told_and_why() -> None:
    absent = asyncio.run(Uptime(None).body())
    away = asyncio.run(Uptime(Prometheus(f"http://127.0.0.1:{servers.free_port()}", timeout=2)).body())
    assert (absent.watched, absent.rows) == ("absent", [])
    assert (away.watched, away.rows) == ("unreachable", [])
