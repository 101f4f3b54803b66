"""`techsapo why` on a stack that runs: an alert fires, and what it needs is halted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import servers
from projects import Project, project, small_spec
from stacks import with_alerts

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack whose Redis is watched, and that investigates a service of the team's, too."""
    folder = tmp_path_factory.mktemp("shop")
    spec = small_spec(locale="en")
    spec["monitoring"]["exporters"]["redis"] = servers.free_port()
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    spec["monitoring"] |= with_alerts("RedisDown")
    spec["monitoring"]["alerts"]["RedisDown"] = {"for": "0s"}
    spec["investigate"] = {
        "services": [
            {
                "name": "shop",
                "match": {"job": "shop"},
                "logs": [{"kind": "file", "path": str(folder / "shop.log")}],
            }
        ]
    }
    with project(spec) as made:
        made.run("up", "--yes")
        yield made


def why(shop: Project, *words: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(shop.run("why", *words, "--json").stdout)
    return said


def texts(said: dict[str, Any], kind: str) -> str:
    return "\n".join(piece["text"] for piece in said["pieces"] if piece["kind"] == kind)


def test_without_an_alert_that_fires_nothing_is_wrong(shop: Project) -> None:
    servers.wait_for(lambda: not firing(shop), what="no alert fires")
    assert "no alert is firing" in shop.run("why", "--no-ask").stdout


def firing(shop: Project) -> list[str]:
    listed = json.loads(shop.run("alerts", "list", "--firing", "--json").stdout)
    return [each["name"] for each in listed["alerts"] if each["name"] != "Watchdog"]


def test_with_redis_and_the_app_halted_the_evidence_names_what_happened(
    shop: Project, tmp_path: Path
) -> None:
    shop.run("stop", "redis", "app")
    servers.wait_for(lambda: "RedisDown" in firing(shop), what="RedisDown fires")
    said = why(shop, "RedisDown", "--no-ask")
    assert said["subject"]["alert"] == "RedisDown"
    assert "redis was stopped by" in texts(said, "changes")
    assert "redis" in texts(said, "metrics")
    assert {"Prometheus", "health", "this host"} <= set(said["read"])
    assert [unread["source"] for unread in said["unread"]] == [f"logs of shop ({shop_log(shop)})"]
    first = shop.run("why", "--no-ask").stdout
    assert "logs of shop" in first.partition("not read: ")[2]
    folder = tmp_path / "bundle"
    shop.run("why", "RedisDown", "--no-ask", "--export", str(folder))
    (tmp_path / "elsewhere").mkdir()
    again = json.loads(
        subprocess.run(
            shop.argv("why", "--from", str(folder), "--json", "--no-ask"),
            cwd=tmp_path / "elsewhere", check=True, capture_output=True, text=True,
        ).stdout
    )  # fmt: skip
    assert again["subject"] == said["subject"]
    assert texts(again, "changes") == texts(said, "changes")


def test_each_minute_the_app_is_left_what_it_can_not_see(shop: Project) -> None:
    assert "evidence" in shop.run("jobs").stdout
    left = shop.layout.config / "app" / "evidence" / "stack.json"
    servers.wait_for(left.exists, what="the scheduler's first run of the job")
    changes = [change["text"] for change in json.loads(left.read_text())["changes"]]
    assert any(text.startswith("apply @1") for text in changes)


def test_with_a_prometheus_that_is_silent_the_other_sources_are_read(shop: Project) -> None:
    pid = shop.pids()["prometheus"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        said = why(shop, "RedisDown", "--no-ask")
        everything = why(shop, "--no-ask")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "Prometheus" in [unread["source"] for unread in said["unread"]]
    assert said["subject"]["expression"].startswith("redis_up")
    assert "redis was stopped by" in texts(said, "changes") + texts(everything, "changes")


def shop_log(shop: Project) -> str:
    path: str = shop.spec["investigate"]["services"][0]["logs"][0]["path"]
    return path
