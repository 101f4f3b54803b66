"""When a real Alertmanager tells of one trouble after another; its waits are a fifth of a stack's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import servers
from alert_lab import Receiver, receiving
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of, topology_of, write

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.render.stack import secret_files
from techsapo_ops.spec.models.base import seconds

pytestmark = pytest.mark.lab

RECEIVERS = ("page", "critical", "warning", "info", "watchdog")
FASTER = 5
WAIT = re.compile(r"(?P<wait>group_wait|group_interval|repeat_interval): (?P<time>\w+)")


def shortened(config: str) -> str:
    """The configuration with each of its waits divided by FASTER."""
    assert len(WAIT.findall(config)) > 5
    return WAIT.sub(lambda m: f"{m['wait']}: {seconds(m['time']) * 1000 // FASTER:.0f}ms", config)


class Sending:
    """An Alertmanager, and what it tells."""

    def __init__(self, url: str, told: Receiver) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self.told = told

    def fire(self, name: str, /, minutes: float = 10, **labels: str) -> float:
        """Let an alert fire for so many minutes. Returns when, by the monotonic clock."""
        alert = alerts()[name]
        own = {"alertname": name, "severity": alert.severity, "priority": alert.priority}
        ends = datetime.now(UTC) + timedelta(minutes=minutes)
        page = {"page": "true"} if alert.page else {}
        alarm = {"labels": {**own, **page, "service": alert.service, **labels}, "endsAt": ends.isoformat()}
        at = time.monotonic()
        self._client.post("/api/v2/alerts", json=[alarm]).raise_for_status()
        return at

    def reload(self) -> None:
        """Let it read its configuration again."""
        self._client.post("/-/reload").raise_for_status()

    def seconds(
        self, name: str, since: float, status: str = "firing", within: float = 60, **labels: str
    ) -> float:
        """How long after `since` it told of an alert with these labels."""

        def came() -> float | None:
            notes = [n for n in self.told.notes if (n.alert, n.status) == (name, status) and n.at >= since]
            return next((n.at - since for n in notes if labels.items() <= n.labels.items()), None)

        servers.wait_for(lambda: came() is not None, timeout=within, what=f"{name} {labels} is {status}")
        return came() or 0.0


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sending]:
    directory: Path = tmp_path_factory.mktemp("routes")
    with receiving() as told:
        hooks = {name: [{"kind": "webhook", "url": told.url(name)}] for name in RECEIVERS}
        spec = spec_of(notifications=notified(hooks))
        files = monitoring_files(spec, directory)
        write(files.values(), directory)
        write(secret_files(topology_of(spec, directory)), directory)
        config = shortened(files["alertmanager/alertmanager.yml"].content)
        with servers.alertmanager(config, directory / "alertmanager") as running:
            sending = Sending(running.url, told)
            sending.fire("Watchdog")
            yield sending


def test_each_provider_that_is_down_is_told_also_after_a_reload(sending: Sending) -> None:
    begun = {provider: sending.fire("ProviderDown", provider=provider) for provider in ("gpt", "gemini")}
    for provider, at in begun.items():
        assert sending.seconds("ProviderDown", at, provider=provider) < 45 / FASTER, "all of them may be"
    sending.reload()
    at = sending.fire("ProviderDown", provider="claude")
    assert sending.seconds("ProviderDown", at, provider="claude") < 45 / FASTER
    named = [n.labels["provider"] for n in sending.told.notes if n.alert == "ProviderDown"]
    first, second, third = dict.fromkeys(named)  # after a reload one of the first two may be sent again
    assert ({first, second}, third) == ({"gemini", "gpt"}, "claude")


def test_all_file_systems_of_a_full_host_are_one_message(sending: Sending) -> None:
    for mountpoint in ("/", "/srv", "/var"):
        at = sending.fire("DiskFilling", instance="host", mountpoint=mountpoint)
    for mountpoint in ("/", "/srv", "/var"):
        assert sending.seconds("DiskFilling", at, mountpoint=mountpoint) > 5 / FASTER
    came = {n.at for n in sending.told.notes if n.alert == "DiskFilling"}
    assert max(came) - min(came) < 0.1


def test_what_pages_reaches_those_who_are_woken_and_nobody_else(sending: Sending) -> None:
    sending.seconds("DataMissing", sending.fire("DataMissing", server="redis"))
    probe = {"name": "shop", "page": "true"}
    sending.seconds("ProbeTargetFailing", sending.fire("ProbeTargetFailing", **probe))
    of_them = [n for n in sending.told.notes if n.alert in ("DataMissing", "ProbeTargetFailing")]
    assert {n.receiver for n in of_them} == {"page"}


def test_a_second_outage_soon_after_the_first_is_told_too(sending: Sending) -> None:
    assert sending.seconds("AppDown", sending.fire("AppDown", job="techsapo-app")) < 15 / FASTER
    over = sending.fire("AppDown", minutes=0, job="techsapo-app")
    assert sending.seconds("AppDown", over, "resolved") < 60 / FASTER
    assert sending.seconds("AppDown", sending.fire("AppDown", job="techsapo-app")) < 60 / FASTER


def test_an_effect_waits_so_long_that_a_cause_which_is_seen_later_still_mutes_it(sending: Sending) -> None:
    effect = sending.fire("LlmErrorsHigh", provider="late")
    alone = sending.fire("LlmErrorsHigh", provider="alone", service="of its own group")
    sending.fire("ProviderDown", provider="late")
    assert 25 / FASTER < sending.seconds("LlmErrorsHigh", alone, provider="alone") < 60 / FASTER
    sending.seconds("ProviderDown", effect, provider="late")
    late = [n for n in sending.told.notes if n.labels.get("provider") == "late" and n.at >= effect]
    assert {n.alert for n in late} == {"ProviderDown"}


def test_a_watcher_elsewhere_hears_of_it_all_the_time_and_never_that_it_is_over(sending: Sending) -> None:
    def beats() -> list[float]:
        return [n.at for n in sending.told.notes if n.receiver == "watchdog"]

    servers.wait_for(lambda: len(beats()) >= 3, what="the third heartbeat")
    gaps = [later - sooner for sooner, later in zip(beats(), beats()[1:], strict=False)]
    assert max(gaps) < 60 / FASTER, gaps
    over = sending.fire("Watchdog", minutes=0)
    # Looked at every other second: by the time that another one is told of, it would have been there.
    marker = sending.fire("ConfigChanged", job="prometheus")
    sending.seconds("ConfigChanged", marker, within=60)
    assert [n.status for n in sending.told.notes if n.receiver == "watchdog"] == ["firing"] * len(beats())
    assert [at for at in beats() if at > over + 1] == []
