"""The report of `techsapo health`: how well the stack is, who has what fires, and what is next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Sample
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch import health as command
from techsapo_ops.cli.watch.services_view import next_step
from techsapo_ops.services.alertmanager.silencing import over_critical
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.watch.health.check import with_one_of_each
from techsapo_ops.watch.health.report import AskedMeanwhile, HealthReport, Status, silence_parts

UP, WRONG, GONE = PartStatus.HEALTHY, PartStatus.DEGRADED, PartStatus.DOWN


def part(kind: str, status: PartStatus, *, vital: bool = False) -> HealthPart:
    return HealthPart(kind, kind, status, "", vital=vital or kind in {"app", "nginx", "disk"})


@each_row(
    "parts, expected",
    [
        ([("app", UP), ("disk", UP)], Status.HEALTHY),
        ([("app", UP), ("app", GONE)], Status.DEGRADED),
        ([("app", GONE), ("app", GONE), ("redis", UP)], Status.DOWN),
        ([("app", WRONG)], Status.DEGRADED),
        ([("app", UP), ("nginx", GONE)], Status.DOWN),
        ([("app", UP), ("nginx", WRONG)], Status.DEGRADED),
        ([("app", UP), ("disk", GONE)], Status.DOWN),
        ([("app", UP), ("disk", WRONG)], Status.DEGRADED),
        ([("app", UP), ("redis", GONE), ("mysql", GONE), ("prometheus", GONE)], Status.DEGRADED),
        ([("app", UP), ("grafana", PartStatus.ABSENT)], Status.HEALTHY),
        ([("app", UP), ("target", PartStatus.STARTING)], Status.HEALTHY),
        ([("app", UP), ("target", GONE)], Status.DEGRADED),
        ([("redis", UP)], Status.HEALTHY),
    ],
)
def test_the_stack_is_as_well_as_its_parts_let_it_be(
    parts: list[tuple[str, PartStatus]], expected: Status
) -> None:
    assert HealthReport(tuple(part(*each) for each in parts), 0.0).status is expected


def parts(*sole: bool | None) -> list[HealthPart]:
    found = [
        HealthPart(f"redis-{host}", "redis", PartStatus.HEALTHY, "said", sole=each)
        for host, each in zip("abc", sole, strict=False)
    ]
    return [*found, HealthPart("app-1-a", "app", PartStatus.HEALTHY, "HTTP 200")]


def told(*sole: bool | None) -> list[tuple[str, str]]:
    return [(str(part.status), part.detail) for part in with_one_of_each(parts(*sole))]


@each_row("sole", [(True, False, False), (False, False, None), (None, None, None), ()])
def test_one_that_has_it_is_well_and_so_are_those_of_which_one_did_not_say(
    sole: tuple[bool | None, ...],
) -> None:
    assert with_one_of_each(parts(*sole)) == parts(*sole)


def test_two_that_have_it_are_degraded_and_named() -> None:
    assert told(True, False, True) == [
        ("degraded", "said; redis-c also has the leading role, but only one service may have it"),
        ("healthy", "said"),
        ("degraded", "said; redis-a also has the leading role, but only one service may have it"),
        ("healthy", "HTTP 200"),
    ]


def test_where_none_has_it_all_of_the_kind_are_degraded() -> None:
    assert told(False, False, False) == [
        *[("degraded", "said; no other service of this kind has the leading role, either")] * 3,
        ("healthy", "HTTP 200"),
    ]


BEGINS, ENDS = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)


def silence(*matchers: str, ends: datetime = ENDS, state: str = "active") -> Silence:
    made = tuple(Matcher.parse(each) for each in matchers)
    return Silence("1", made, BEGINS, ends, "hanako", "moving house", state)


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
    assert everything.startswith("nobody is notified of AppDown, NginxDown, ProbeFailing and ")
    assert f"until {later.astimezone():%Y-%m-%d %H:%M:%S %Z} (hanako: moving house)" in everything
    assert app.startswith(f"nobody is notified of AppDown until {ENDS.astimezone():%Y-%m-%d %H:%M:%S %Z}")


LABELS = {"alertname": "ProviderDown", "severity": "critical", "priority": "P1", "service": "llm"}
CLAUDE = {**LABELS, "provider": "claude"}
AT, UNTIL = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 11, 4, 5, tzinfo=UTC)


def acknowledgement(since: str) -> Silence:
    matchers = [Matcher(name, "=", value) for name, value in (*CLAUDE.items(), ("since", since))]
    return Silence(
        "1", (*matchers, Matcher("next", "=~", ".+")), AT, UNTIL, "hanako", "asking the vendor", "active"
    )


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HealthReport:
    episode = Sample({"__name__": "techsapo:alert:episode", **CLAUDE, "since": "1767322800"}, 1.0, 0.0)
    monkeypatch.setattr(Prometheus, "query", lambda *_: (episode,))
    monkeypatch.setattr(
        Alertmanager, "silences", lambda _: (acknowledgement("1767322800"), acknowledgement("1700000000"))
    )
    topology = topology_of(spec_of({"project": "t"}), tmp_path)
    return HealthReport((), 0.1, AskedMeanwhile(open_stack(topology), 60.0).acknowledged())


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
        assert AskedMeanwhile(open_stack(topology), 60.0).acknowledged() == ()


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
    episode = Sample({"__name__": "techsapo:alert:episode", **CLAUDE, "since": "1767322800"}, 1.0, 0.0)
    monkeypatch.setattr(Prometheus, "query", lambda *_: (episode,))
    monkeypatch.setattr(Prometheus, "alerts", lambda _: alerts)
    monkeypatch.setattr(Alertmanager, "silences", lambda _: (acknowledgement("1767322800"),))
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
