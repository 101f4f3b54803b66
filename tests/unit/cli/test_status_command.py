"""`techsapo status` as a user calls it, and the words of its lines."""

from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peers
import pytest
from fakes.open_stacks import Seen, open_stack
from in_process import techsapo
from monitoring_stack import spec_of, topology_of
from rows import each_row
from servers import free_port

from techsapo_ops.apply.drift import DriftFinding, DriftReport
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch.status import value
from techsapo_ops.cli.watch.status_view import lines, next_of
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import JobStatus, Result, Run, find_job
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement, Episode
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.observed import Observed, ObservedService, State, Stopped
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts.firing import Listed, Listing
from techsapo_ops.watch.backups import Backups, Proved
from techsapo_ops.watch.costs import Spent
from techsapo_ops.watch.health.report import HealthReport
from techsapo_ops.watch.status import status as module
from techsapo_ops.watch.status.status import Look, StackStatus, Versions, status_of

NOW = datetime(2026, 11, 27, 7, 30, tzinfo=UTC)
NO_PROGRAMS = {"PATH": ""}
PARTS = [each.name for each in fields(StackStatus) if each.name not in {"front", "unreachable"}][3:]
"""Without those of several hosts."""
ENTRY = LedgerEntry(12, NOW, "root", "up", "0.2.0", "native", None, "", "", "", "ok")


def spec(folder: Path, port: int) -> None:
    """A stack whose app listens on `port`, and whose servers would listen where nobody does."""
    servers = {name: {"port": free_port()} for name in ("prometheus", "alertmanager")}
    exporters = {"node": free_port(), "redis": free_port()}
    sections = {
        "project": "techsapo", "engine": "native", "app": {"port": port}, "schedule": {"by": "none"},
        "redis": {"port": free_port()},
        "monitoring": {**servers, "grafana": {"enabled": False}, "exporters": exporters},
    }  # fmt: skip
    (folder / "techsapo.yaml").write_text(json.dumps(sections))


@each_row(
    "status, body, code, word",
    [
        ("200 OK", {"status": "healthy"}, 0, "healthy"),
        ("200 OK", {"status": "degraded"}, 1, "degraded"),
        ("503 No", {"status": "down"}, 2, "down"),
    ],
)
def test_it_ends_as_health_does_and_has_every_part(
    tmp_path: Path, status: str, body: object, code: int, word: str
) -> None:
    with peers.peer(peers.http(status, json.dumps(body).encode())) as port:
        spec(tmp_path, port)
        screen = techsapo(tmp_path, "status", env=NO_PROGRAMS)
        asked = techsapo(tmp_path, "status", "--json", env=NO_PROGRAMS)
    assert (screen.returncode, asked.returncode) == (code, code), screen.stderr
    shown = screen.stdout.splitlines()
    assert shown[0].startswith(f"techsapo       {word} on native, ")
    labels = [line.split()[0] for line in shown if line[0] != " "]
    assert labels == ["techsapo", *PARTS]
    told = json.loads(asked.stdout)
    assert told["status"] == word
    assert {*told} == {"project", "engine", "status", "at", "seconds", "maintenance", *PARTS, "unread"}
    assert told["unread"]["drift"] == "nothing was applied yet"
    assert told["drift"] is None


@each_row("words", [("--nonsense",), ("--timeout", "soon"), ("-e", "nowhere")])
def test_a_wrong_spec_or_usage_ends_with_3(tmp_path: Path, words: tuple[str, ...]) -> None:
    spec(tmp_path, free_port())
    done = techsapo(tmp_path, "status", *words, env=NO_PROGRAMS)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr


def test_a_part_that_does_not_answer_or_fails_says_so_and_holds_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OpsError("cannot read the audit log: permission denied\nsecond line", "run as root")

    def stumble(*_: object) -> None:
        raise ValueError("of ours")

    slow_one = threading.Event()
    hang = peers.peer(lambda _, over: over.wait(60) and None)
    with hang as slow:
        monkeypatch.setattr(module, "_MARGIN", 1.8)
        monkeypatch.setattr(module, "spent_of", refuse)
        monkeypatch.setattr(module, "drift", stumble)
        monkeypatch.setattr(module, "listed", lambda *_: slow_one.wait(60))
        stack = open_stack(topology_of(spec_of({"project": "t", "app": {"port": slow}}), tmp_path), Seen())
        found = status_of(stack, timeout=0.2, now=NOW, zone=UTC)
    slow_one.set()
    assert found.health.value is not None
    assert found.budget.why == "cannot read the audit log: permission denied"
    assert found.drift.why == "ValueError: of ours"
    assert found.alerts.why == "did not answer within 2 s"
    assert found.jobs.value is not None
    shown = [str(line) for line in lines(found, stack)]
    assert "budget         unknown: cannot read the audit log: permission denied" in shown
    assert set(value(found, stack)["unread"]) >= {"budget", "drift", "alerts"}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())


def whole() -> StackStatus:
    """How a stack with something in every part is."""
    of, began = alerts(), NOW - timedelta(minutes=12)
    episode = Episode({"alertname": "ProviderDown"}, "1795737600")
    held = Acknowledgement("id", episode, "hanako", began, NOW, "asking the vendor")
    parts = (
        HealthPart("app", "app", PartStatus.HEALTHY, "healthy", 0.01, vital=True),
        HealthPart("redis", "redis", PartStatus.DOWN, "connection refused", hint="`see`"),
        HealthPart("grafana", "grafana", PartStatus.ABSENT, "no grafana-server on PATH"),
    )
    observed = {
        "app": ObservedService("app", "app", State.RUNNING, started=NOW - timedelta(days=3)),
        "redis": ObservedService("redis", "redis", State.CRASHED),
    }
    listed = (
        Listed(of["RedisDown"], "firing", {}, {}, "Redis is down", began),
        Listed(of["ProviderDown"], "firing", {}, {}, "claude is down", began, held),
        Listed(of["MemoryHigh"], "pending", {}, {}, "memory", began),
        Listed(of["Watchdog"], "firing", {}, {}, "always", began),
        Listed(of["AppDown"], "quiet", {}, {}, ""),
    )
    proved = Proved("20261126T030000Z", None, NOW - timedelta(days=1), "off-site")
    edited = DriftFinding("file", "app/techsapo.yaml", "was edited by hand")
    return StackStatus(
        at=NOW, seconds=0.4, maintenance=None, health=Look(HealthReport(parts, 0.031)),
        services=Look(Observed(True, observed)), alerts=Look(Listing(listed)),
        backups=Look(Backups(4, "20261127T030000Z", NOW - timedelta(hours=4), proved, ())),
        certificates=Look(()), budget=Look(Spent(1.0, 10.0, 4.0, 100.0)), jobs=Look(()),
        drift=Look(DriftReport(ENTRY, (edited,))),
        versions=Look(Versions("0.2.0+a.b", "3.11.2", "native", ("app",), 12, NOW, "root")),
    )  # fmt: skip


def test_the_screen_says_who_has_what_and_what_is_proved(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    found = whole()
    shown = "\n".join(str(line) for line in lines(found, stack))
    for words in (
        "health         degraded: 1 of 2 parts ok, 1 absent, 31 ms\n",
        "\n                 redis: connection refused\n",
        "\n                 grafana: no grafana-server on PATH\n",
        "services       1 of 2 running, for up to 3d 0h\n                 redis: crashed",
        "alerts         2 firing, 1 pending",
        "RedisDown (warning) firing for 12m; not acknowledged: Redis is down",
        "firing for 12m; acknowledged by hanako (asking the vendor): claude is down",
        "MemoryHigh (critical) pending for 12m; fires if the condition lasts",
        "backups        restorable: 20261126T030000Z, restored from off-site 1d 0h ago",
        "latest of 4: 20261127T030000Z, 4h 0m old",
        "budget         today 25 % of $4.00, this month 10 % of $100.00",
        "drift          1 difference from apply @12",
        "services of another build: app",
    ):
        assert words in shown, shown
    assert "Watchdog" not in shown
    assert next_of(found) == "`see`"
    well = HealthReport((HealthPart("app", "app", PartStatus.HEALTHY, "healthy", 0.01, vital=True),), 0.03)
    assert next_of(replace(found, health=Look(well))) == "`techsapo alerts show RedisDown`"
    Output(as_json=True).json(value(found, stack))
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["alerts"]["alerts"]] == ["RedisDown", "ProviderDown", "MemoryHigh"]
    assert told["drift"]["against"] == 12
    assert told["backups"]["proved"]["where"] == "off-site"


@each_row(
    "hosts, said",
    [
        (("b",), "address        host b has the address 10.0.0.100/24"),
        ((), "address        no host has the address 10.0.0.100/24"),
        (("a", "b"), "address        more than one host has the address 10.0.0.100/24: a, b"),
    ],
)
def test_of_several_hosts_it_names_the_one_with_the_address(
    hosts: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    sections = {"project": "t", "floating_address": "10.0.0.100/24", "engine": "swarm"}
    machines = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://{n}"} for i, n in enumerate("abc", 1)}
    stack = open_stack(topology_of(spec_of({**sections, "hosts": machines}), tmp_path), Seen())
    found = replace(whole(), front=Look(hosts))
    assert said in "\n".join(str(line) for line in lines(found, stack))
    assert value(found, stack)["front"] == list(hosts)
    assert "front" not in value(whole(), stack)


def ran(job: str, result: Result, **told: str) -> JobStatus:
    """A job that is due in ten minutes, and how its last run ended."""
    run = Run(1, job, NOW - timedelta(hours=2), "hand", "root", 1, "0.2.0", result, **told)  # type: ignore[arg-type]
    return JobStatus(
        find_job(spec_of({"project": "t"}).schedule, job), NOW + timedelta(minutes=10), run, None
    )


def test_what_needs_somebody_has_its_colour_and_its_line(stack: Stack) -> None:
    found = whole()
    assert found.services.value is not None
    assert found.alerts.value is not None
    assert found.backups.value is not None
    stopped = replace(found.services.value, stopped={"redis": Stopped("bob", NOW - timedelta(hours=1))})
    findings = tuple(DriftFinding("file", f"file-{number}", "was edited") for number in range(9))
    tomorrow = replace(ran("backup", "ok"), next=NOW + timedelta(days=1))
    found = replace(
        found,
        services=Look(stopped),
        alerts=Look(replace(found.alerts.value, untold="Alertmanager does not answer")),
        backups=Look(replace(found.backups.value, failed=("b1", "b2", "b3", "b4"))),
        budget=Look(Spent(4.0, 10.0, 4.0, 100.0)),
        jobs=Look((ran("costs", "failed", error="no rows"), ran("certs", "running"), tomorrow)),
        drift=Look(DriftReport(ENTRY, findings)),
    )
    shown = list(lines(found, stack))
    states = {line.label: line.state for line in shown if line.label}
    assert (states["budget"], states["alerts"], states["jobs"]) == ("failed", "failed", "warning")
    text = [str(line).strip() for line in shown]
    assert "redis: stopped by bob at 2026-11-27 06:30 UTC" in text
    assert "Alertmanager does not answer" in text
    assert "backups that failed the last check: b2, b3, b4" in text
    assert "costs: failed 2h 0m ago: no rows" in text
    assert not [line for line in text if line.startswith("certs:")], "one that runs has not failed"
    assert [line for line in text if line.startswith("file-")] == [f"file-{n}: was edited" for n in range(6)]
    assert "and 3 more" in text
    here = NOW.astimezone()
    (due,) = (line for line in text if line.startswith("jobs"))
    soon, later = here + timedelta(minutes=10), here + timedelta(days=1)
    assert due.endswith(f"certs {soon:%H:%M}, costs {soon:%H:%M}, backup {later:%m-%d %H:%M}")
    under = Look(Spent(3.99, 99.9, 4.0, 100.0))
    assert {x.state for x in lines(replace(found, budget=under), stack) if x.label == "budget"} == {"ok"}
    assert "lost" not in " ".join(text)
    partly = replace(found, budget=Look(Spent(0.0, 0.0, 4.0, 100.0, rows_lost=True)))
    (line,) = (x for x in lines(partly, stack) if "the amounts may be higher: some rows" in str(x))
    assert line.state == "warning"


def test_of_a_time_that_is_over_the_parts_are_shown_whose_sources_are_there(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: shop\n", encoding="utf-8")
    shown = techsapo(tmp_path, "status", "--since", "7d", "--json")
    assert shown.returncode == 0
    found = json.loads(shown.stdout)
    assert found["paged"]["missing"]
    assert found["backups"] == {"missing": None, "lines": ["no backup was restored as a test"]}
    assert "Backups: no backup was restored as a test" in techsapo(tmp_path, "status", "--since", "7d").stdout
    assert techsapo(tmp_path, "status", "--since", "40d").returncode == 3
