from __future__ import annotations

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.calendar import calendar_events


@each_row(
    "cron, events",
    [
        ("0 2 * * *", ["*-*-* 02:00:00"]),
        ("*/30 * * * *", ["*-*-* *:00,30:00"]),
        ("17 3,15 * * *", ["*-*-* 03,15:17:00"]),
        ("5-20/5 9-17/4 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 09,13,17:05,10,15,20:00"]),
        ("0 0 1 jan *", ["*-01-01 00:00:00"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00"]),
        ("0 0 * * */2", ["Sun,Tue,Thu,Sat *-*-* 00:00:00"]),
        ("0 0 */10 * *", ["*-*-01,11,21,31 00:00:00"]),
        ("0 0 13 * 5", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 */2 * 5", ["Fri *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 00:00:00"]),
    ],
)
def test_systemd_is_told_the_times_of_cron(cron: str, events: list[str]) -> None:
    assert list(calendar_events(cron)) == events


@each_row("cron", ["0 2 last * *", "0 2 1st * *", "0 2 * * 5-2"])
def test_what_systemd_has_no_words_for_is_refused(cron: str) -> None:
    with pytest.raises(OpsError, match="systemd has no calendar event"):
        calendar_events(cron)
