"""An alert from its cause to the receiver: an app that hangs, Prometheus, Alertmanager, a webhook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from alert_lab import Receiver, receiving
from fakes.notified import notified
from projects import Project, only_redis, project
from servers import wait_for

pytestmark = pytest.mark.needs("redis-server", "prometheus", "promtool", "prometheus-alertmanager", "amtool")

UP = "api/v1/query?query=up%7Bjob%3D%22techsapo-app%22%7D==1"


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(told: Receiver) -> Iterator[Project]:
    spec = only_redis(
        notifications=notified({"critical": [{"kind": "webhook", "url": told.url("critical")}]})
    )
    quick = {"enabled": True, "scrape_interval": "1s"}
    spec["monitoring"]["prometheus"] |= quick
    spec["monitoring"]["alertmanager"] |= {"enabled": True, "group_wait": "0s", "group_interval": "1s"}
    spec["monitoring"]["alerts"] = {"AppDown": {"for": "1s", "keep_firing_for": "0s"}}
    with project(spec) as made:
        made.run("up")
        yield made


@contextmanager
def hanging(stack: Project, service: str) -> Iterator[None]:
    """A service that is there and does nothing."""
    process = psutil.Process(stack.pids()[service])
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_an_app_that_hangs_is_told_to_the_receiver_and_so_is_its_end(stack: Project, told: Receiver) -> None:
    wait_for(lambda: bool(stack.ask("prometheus", UP)["data"]["result"]), what="a scrape of the app")
    with hanging(stack, "app"):
        wait_for(lambda: told.last("AppDown") == "firing", what="AppDown is told")
    (note,) = [n for n in told.notes if (n.alert, n.status) == ("AppDown", "firing")]
    assert (note.receiver, note.labels["severity"]) == ("critical", "critical")
    wait_for(lambda: told.last("AppDown") == "resolved", what="its end is told")
