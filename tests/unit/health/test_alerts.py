"""Silences over critical alerts are said by `techsapo health`, with their end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.open_stacks import open_stack
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.health.alerts import silence_parts
from techsapo_ops.services.alertmanager.silencing import over_critical
from techsapo_ops.stack.health import PartStatus

AT, UNTIL = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)


def silence(*matchers: str, ends: datetime = UNTIL, state: str = "active") -> Silence:
    made = tuple(Matcher.parse(each) for each in matchers)
    return Silence("1", made, AT, ends, "hanako", "moving house", state)


@each_row(
    "matchers, names",
    [
        (["alertname=AppDown"], ("AppDown",)),
        (["alertname=MemoryHigh", "instance=app-1"], ("MemoryHigh",)),
        (["alertname=~BackupOld|NginxDown", "severity!=warning"], ("NginxDown",)),
        (["alertname=BackupOld"], None),
        (["severity=info"], None),
        (["alertname=AppDown", "since=1767322800", "next=~.+"], None),
    ],
)
def test_a_silence_counts_that_may_hold_for_a_critical_alert(
    matchers: list[str], names: tuple[str, ...] | None
) -> None:
    assert [each.alerts for each in over_critical([silence(*matchers)], spec())] == ([names] if names else [])
    assert over_critical([silence(*matchers, state="expired")], spec()) == ()


def test_health_names_them_with_their_end_the_last_first_and_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime(2026, 3, 3, tzinfo=UTC)
    found = (silence("alertname=AppDown"), silence("severity=critical", ends=later), silence("severity=info"))
    monkeypatch.setattr(Alertmanager, "silences", lambda _: found)
    (part,) = silence_parts(open_stack(topology(spec(), tmp_path)), 1.0)
    assert (part.name, part.status) == ("silences", PartStatus.HEALTHY)
    everything, app = part.detail.split("; ")
    assert everything.startswith("nobody is told of AppDown, NginxDown, ProbeFailing and ")
    assert f"until {later.astimezone():%Y-%m-%d %H:%M:%S %Z} (hanako: moving house)" in everything
    assert app.startswith(f"nobody is told of AppDown until {UNTIL.astimezone():%Y-%m-%d %H:%M:%S %Z}")
