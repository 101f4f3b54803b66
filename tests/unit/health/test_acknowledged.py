"""Who has an alert that fires is said by `techsapo health`, as by the Status page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Sample
from techsapo_ops.cli.commands import health as command
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.views.health import next_step
from techsapo_ops.health.alerts import AskedMeanwhile
from techsapo_ops.health.check import check
from techsapo_ops.health.report import HealthReport
from techsapo_ops.stack.health import HealthPart, PartStatus

LABELS = {"alertname": "ProviderDown", "severity": "critical", "priority": "P1", "service": "llm"}
CLAUDE = {**LABELS, "provider": "claude"}
AT, UNTIL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 11, 4, 5, tzinfo=UTC)


def silence(since: str) -> Silence:
    matchers = [Matcher(name, "=", value) for name, value in (*CLAUDE.items(), ("since", since))]
    return Silence(
        "1", (*matchers, Matcher("next", "=~", ".+")), AT, UNTIL, "hanako", "asking the vendor", "active"
    )


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HealthReport:
    incident = Sample({"__name__": "techsapo:alert:incident", **CLAUDE, "since": "1767322800"}, 1.0, 0.0)
    monkeypatch.setattr(Prometheus, "query", lambda *_: (incident,))
    monkeypatch.setattr(Alertmanager, "silences", lambda _: (silence("1767322800"), silence("1700000000")))
    topology = topology_of(spec_of({"project": "t"}), tmp_path)
    return HealthReport((), 0.1, AskedMeanwhile(open_stack(topology), 60.0).found())


def test_it_finds_who_has_what_fires_now(held: HealthReport) -> None:
    (one,) = held.acknowledged
    since = f"{AT.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    assert str(one) == f"hanako has ProviderDown (provider=claude), since {since}: asking the vendor"


@each_row("as_json", [True, False])
def test_the_command_says_it(
    held: HealthReport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], as_json: bool,
) -> None:  # fmt: skip
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path))
    monkeypatch.setattr(command, "open_stack", lambda _: stack)
    monkeypatch.setattr(command, "check", lambda *_, **__: held)
    monkeypatch.setattr(command, "nobody_starts", lambda *_: "")
    (tmp_path / "techsapo.yaml").write_text("project: t\n")
    with pytest.raises(typer.Exit):
        command.health(place=SpecChoice(tmp_path / "techsapo.yaml"), out=Output(as_json=as_json))
    shown = capsys.readouterr()
    if as_json:
        (told,) = json.loads(shown.out)["acknowledged"]
        assert (told["alert"], told["by"], told["comment"]) == ("ProviderDown", "hanako", "asking the vendor")
    else:
        assert "hanako has ProviderDown (provider=claude), since" in shown.err


def test_servers_that_do_not_answer_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unreachable("http://127.0.0.1:1", "connection refused")

    monkeypatch.setattr(Alertmanager, "silences", away)
    for monitoring in ({}, {"alertmanager": {"enabled": False}}):
        topology = topology_of(spec_of({"project": "t", "monitoring": monitoring}), tmp_path)
        assert AskedMeanwhile(open_stack(topology), 60.0).found() == ()


def test_the_report_has_what_was_told_meanwhile(held: HealthReport, tmp_path: Path) -> None:
    topology = topology_of(spec_of({"project": "t"}), tmp_path)
    found = check(open_stack(topology, Seen()), timeout=0.2, now=datetime.now(UTC))
    assert found.acknowledged == held.acknowledged


def test_what_fires_and_nobody_has_is_next_and_no_update_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def firing(name: str, severity: str, state: str = "firing") -> Firing:
        return Firing({"alertname": name, "severity": severity}, {}, state, AT)

    alerts = (
        firing("DiskSlow", "warning"), firing("RedisNotWritable", "critical"), firing("Watchdog", "none"),
        firing("ProviderDown", "critical"), firing("AppDown", "critical", "pending"),
        firing("Own", "critical"), firing("RedisDown", "warning"),
    )  # fmt: skip
    incident = Sample({"__name__": "techsapo:alert:incident", **CLAUDE, "since": "1767322800"}, 1.0, 0.0)
    monkeypatch.setattr(Prometheus, "query", lambda *_: (incident,))
    monkeypatch.setattr(Prometheus, "alerts", lambda _: alerts)
    monkeypatch.setattr(Alertmanager, "silences", lambda _: (silence("1767322800"),))
    asked = AskedMeanwhile(open_stack(topology_of(spec_of({"project": "t"}), tmp_path)), 60.0)
    assert asked.firing() == ("RedisNotWritable", "RedisDown")

    updates = HealthPart(
        "updates", "updates", PartStatus.HEALTHY, "redis waits", hint="`techsapo restart redis`"
    )
    redis = HealthPart("redis", "redis", PartStatus.HEALTHY, "")
    well = HealthReport((redis, updates), 0.1)
    assert next_step(well) == "`techsapo restart redis`"
    assert next_step(replace(well, firing=asked.firing())) == "techsapo alerts show RedisNotWritable"


@each_row(
    "hint, kind, step",
    [("free the disk", "disk", "free the disk"), ("", "disk", ""), ("", "app", "techsapo logs app-1")],
)
def test_while_something_is_unwell_no_update_that_waits_is_next(hint: str, kind: str, step: str) -> None:
    parts = (
        HealthPart("redis", "redis", PartStatus.HEALTHY, ""),
        HealthPart("app-1", kind, PartStatus.DEGRADED, "", hint=hint),
        HealthPart("updates", "updates", PartStatus.HEALTHY, "", hint="`techsapo restart redis`"),
    )
    assert next_step(HealthReport(parts, 0.1)) == step
