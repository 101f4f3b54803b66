"""Failover, alert, restore and recovery tried on purpose on one live native stack: what is found and left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alert_lab import Receiver, receiving
from fakes.notified import notified
from projects import Project, project, small_spec
from quick_key import quick_repository
from servers import free_port, wait_for
from stacks import with_alerts

from techsapo_ops.adapters.lock import exclusive

pytestmark = pytest.mark.lab


def _where_it_is_day() -> str:
    """A time zone in which it is between 10:00 and 23:00 now."""
    return "UTC" if 10 <= datetime.now(UTC).hour < 23 else "Etc/GMT-12"


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiving() as told:
        yield told


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, hook: Receiver) -> Iterator[Project]:
    spec = small_spec(engine="native", nginx={"listen": free_port()}, locale="en", schedule={"by": "none"})
    spec["monitoring"] |= with_alerts("Drill")
    spec["app"] = {
        "drain": "0s",
        "instances": [{"port": free_port(), "weight": 3}, {"port": free_port(), "weight": 2}],
    }
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s"}
    spec["monitoring"]["alertmanager"] |= {"group_wait": "1s", "group_interval": "1s"}
    away = tmp_path_factory.mktemp("away")
    (away / "password").write_text("the repository's own")
    (away / "password").chmod(0o600)
    quick_repository(away / "repository", "the repository's own")
    spec["backup"] = {
        "offsite": {"restic": str(away / "repository"), "password_file": str(away / "password")}
    }
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    spec["notifications"] = notified(
        {
            "critical": [{"kind": "webhook", "url": hook.url("critical")}],
            "business_hours": {
                "days": days,
                "start": "10:00",
                "end": "24:00",
                "timezone": _where_it_is_day(),
            },
        }
    )
    with project(spec) as made:
        made.run("up")
        made.well()
        yield made


@pytest.fixture(scope="module")
def backup(stack: Project) -> None:
    """One that restores and recoveries are drilled with, here and off-site."""
    stack.run("backup")


def drilled(stack: Project, *words: str, code: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(stack.run("drill", *words, "--json", code=code, timeout=300).stdout)
    return said


def phases(report: dict[str, Any]) -> dict[str, float | None]:
    return {phase["name"]: phase["seconds"] for phase in report["phases"]}


def test_the_busiest_instance_is_killed_and_what_users_notice_is_told(stack: Project) -> None:
    before = stack.pids()
    report = drilled(stack, "failover-app", "--yes")
    after = stack.pids()
    assert report["ok"], report["missed"]
    assert {n for n in after if after[n] != before[n]} == {"app-1"}
    took = phases(report)
    assert took["failover"] is not None
    assert took["recovery"] is not None
    counts = report["counts"]
    assert counts["sent"] > 20
    assert counts["doubled"] == counts["unfinished"] == counts["lost_writes"] == 0
    assert counts["answered"] + counts["failed"] == counts["sent"]
    assert json.loads(Path(report["file"]).read_text(encoding="utf-8"))["id"] == report["id"]
    listed = json.loads(stack.run("drill", "list", "--json").stdout)["drills"]
    assert listed[-1]["id"] == report["id"]
    costs = json.loads(stack.run("answers", "costs", "--json").stdout)
    assert costs["requests"] == 0, "it is no user's"


def test_it_is_not_begun_while_another_techsapo_is_at_work(stack: Project) -> None:
    before = stack.pids()
    with exclusive(stack.state / "lock"):
        refused = stack.run("drill", "failover-app", "--yes", code=1)
    assert "is working on this stack" in refused.stderr
    assert stack.pids() == before
    assert not stack.run("drill", "failover-app", code=1).stdout  # nobody said --yes


def test_an_alert_goes_its_whole_way_and_ends(stack: Project) -> None:
    report = drilled(stack, "alert")
    took = phases(report)
    assert report["ok"], report
    assert took["detection"] is not None
    assert took["handed_on"] is not None
    assert any(re.fullmatch("receivers of .*: none", note) for note in report["notes"])
    wait_for(
        lambda: (
            not [
                a
                for a in stack.ask("prometheus", "api/v1/alerts")["data"]["alerts"]
                if a["labels"]["alertname"] == "Drill"
            ]
        ),
        what="the alert's end",
    )


def standing(stack: Project) -> list[Any]:
    """The alerts of drills that Alertmanager has."""
    found = stack.ask("alertmanager", "api/v2/alerts")
    return [alert for alert in found if alert["labels"]["alertname"] == "Drill"]


def test_a_page_is_met_by_who_acknowledges_it_and_else_a_ticket(stack: Project, hook: Receiver) -> None:
    wait_for(lambda: not standing(stack), what="the end of the drill before")
    drill = stack.popen("drill", "alert", "--to-page", "--json")
    # Prometheus may still have the drill before: to acknowledge that one says nothing of this one.
    wait_for(lambda: "firing" in [note.status for note in hook.notes], what="the page")
    stack.run("alerts", "ack", "Drill", "--by", "hanako")
    report = json.loads(drill.communicate(timeout=300)[0])
    assert report["ok"], report
    assert report["facts"] == {"receivers": "webhook", "acknowledged_by": "hanako"}
    assert phases(report)["acknowledged"] is not None
    # Until Alertmanager has said that it is over, the next one is the same alert that goes on.
    wait_for(
        lambda: [n.status for n in hook.notes[-1:]] == ["resolved"], what="the end of the first page is told"
    )
    missed = drilled(stack, "alert", "--to-page", "--within", "10", code=1)
    assert missed["missed"] == ["acknowledged"]
    text = (stack.state / "textfile" / "drills.prom").read_text(encoding="utf-8")
    assert 'techsapo_drill_last_success{drill="alert",name="drills"} 0.0' in text


@pytest.mark.usefixtures("backup")
def test_a_restore_is_timed_and_compared_with_its_objective(stack: Project) -> None:
    report = drilled(stack, "restore")
    assert report["ok"], report
    assert phases(report)["data"] is not None
    assert report["counts"]["lost_seconds"] >= 0
    assert not list(stack.state.glob("drill-*"))
    text = (stack.state / "textfile" / "drills.prom").read_text(encoding="utf-8")
    assert 'techsapo_drill_last_success{drill="restore",name="drills"} 1.0' in text


@pytest.mark.usefixtures("backup")
def test_the_whole_stack_is_recovered_beside_the_live_one_and_is_gone_again(stack: Project) -> None:
    before = stack.pids()
    report = drilled(stack, "recover")
    assert report["ok"], report
    assert phases(report)["data"] is not None
    assert report["facts"]["health"] == "healthy"
    assert stack.pids() == before
    assert not list(stack.state.glob("drill-*"))
