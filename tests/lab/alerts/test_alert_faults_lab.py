"""Each fault of a stack by itself: the right alert, once, in time, and nobody else's.

Every fault is real, and is over before the next begins. Only durations are shortened, through the spec; what
alerts look back over where the spec has no word for it is as always. So `failing streams at two an hour` are
two in the hour that the alert looks at, seconds apart; its cases, `AnalysesFailing.yml`, have them half an
hour apart. A clock that nothing sets is told to the kernel as the kernel tells it to itself nine hours later.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_client
import servers
from alert_delays import at_most
from alert_lab import Note
from alert_stack import Stack
from machine_faults import fill, kept_clock, may_make_disks, may_set_the_clock, set_clock, small_disk
from orchestrator import QUICK

from techsapo_ops.catalogue.alerts import alerts

pytestmark = pytest.mark.lab

SHORT = {"for": "1s"}
OVER = {"for": "1s", "keep_firing_for": "0s"}
CHANGES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(["AnalysesFailing", "DiskFilling", "ClockUnsynchronised"], SHORT),
    **dict.fromkeys(["NginxDown", "MysqlDown"], OVER),
    "RedisNotWritable": {"window": "8s", **OVER},
    "ServiceRestarting": {"window": "90s"},
    "AnalysisSlow": {"window": "12s", "for": "1s"},
    # Nothing runs jobs here, which it would tell where all of this takes long.
    "SchedulerDown": {"enabled": False},
}
ITSELF = ("AlertCannotFire", "MonitoringDegraded", "NotificationsFailing")
"""What a stack tells of its own monitoring."""
FREE = {name: {**p, "price": {"input": 0, "output": 0}} for name, p in QUICK.items()}
FULL = 4 << 20
"""Bytes that Redis may use."""
SLOW = {**FREE, "sim-a": {**FREE["sim-a"], "latency": "60s"}}
"""One provider of three does not answer in the time that it is waited for."""
SOON = {"limits": {"request_timeout": "4s"}}
IN_TIME = 15.0
"""Seconds on a busy machine: a scrape, an evaluation, a second of `for`, and the notification."""


@dataclass
class Fault:
    """What was done, which alert says it, and which others do so rightly."""

    what: str
    alert: str
    labels: dict[str, str]
    also: dict[str, str]
    begun: float = 0.0
    ended: float = 0.0
    notes: list[Note] = field(default_factory=list)

    def told(self, status: str = "firing") -> list[Note]:
        """Its notifications."""
        return [
            n for n in self.notes
            if (n.alert, n.status) == (self.alert, status) and self.labels.items() <= n.labels.items()
        ]  # fmt: skip

    @property
    def seconds(self) -> float | None:
        """From the cause to the first notification."""
        return self.told()[0].at - self.begun if self.told() else None


FAULTS = {
    "streams": Fault(
        "two streams an hour fail", "AnalysesFailing", {},
        {"ProviderDown": "the vendors are gone, which is why the streams fail"},
    ),
    "key": Fault("a vendor revoked a key", "ProviderDown", {"provider": "lab-a"}, {}),
    "nginx": Fault("nginx is stopped", "NginxDown", {}, {}),
    "redis": Fault("Redis is at maxmemory", "RedisNotWritable", {}, {}),
    "mysql": Fault("MariaDB is killed", "MysqlDown", {}, {}),
    "disk": Fault("a disk is full", "DiskFilling", {}, {}),
    "clock": Fault("nothing sets the clock", "ClockUnsynchronised", {}, {}),
    "slow": Fault(
        "a provider answers too late", "AnalysisSlow", {"task_type": "basic"},
        {"ProviderDown": "what the end of a phase cuts off has failed"},
    ),
    "loop": Fault("an instance crashes again and again", "ServiceRestarting", {"server": "app-3"}, {}),
}  # fmt: skip
POSSIBLE = {"disk": may_make_disks, "clock": may_set_the_clock}
"""Faults that this machine may not allow."""


class Lab:
    """The stack, and how each fault is caused and ended."""

    def __init__(self, directory: Path, everything: ExitStack) -> None:
        self.disk = directory / "small-disk"
        if may_set_the_clock():
            everything.enter_context(kept_clock())
        if may_make_disks():
            everything.enter_context(small_disk(directory / "disk.img", self.disk))
        self.stack = Stack(directory, CHANGES, everything)
        self._others = itertools.count()
        self._upstream = ExitStack()
        everything.callback(self._upstream.close)
        self.back_upstream()
        self.stack.start(1, providers=FREE, redis={"port": self.stack.around.ports["redis"]})
        self.start_second()
        self.start_third()
        servers.wait_for(lambda: len(self.stack.query('up{job="techsapo-app"} == 1')) == 3, timeout=60)

    def start_second(self) -> None:
        vendors = {n: self.stack.upstream.provider(api_key=f"sk-{n}") for n in ("lab-a", "lab-b", "lab-c")}
        self.stack.start(2, providers=vendors, wallbounce={"breaker": {"cooldown": "1s"}})

    def start_third(self, providers: dict[str, Any] = SLOW) -> None:
        self.stack.start(3, providers=providers, app=SOON)

    def run(self, name: str) -> None:
        """Cause the fault, wait until somebody is told or in vain, end it, and wait for that to be told."""
        fault = FAULTS[name]
        fault.begun = time.monotonic()
        getattr(self, f"cause_{name}")()
        self._settle(fault, "firing")
        fault.ended = time.monotonic()
        getattr(self, f"end_{name}")()
        if name != "loop":  # what looks back over 15 minutes is not over sooner
            self._settle(fault, "resolved")

    def _settle(self, fault: Fault, status: str, within: float = 60) -> None:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and not fault.told(status):
            fault.notes = [n for n in self.stack.told.notes if n.at >= fault.begun]
            time.sleep(0.1)

    def cause_streams(self) -> None:
        self._upstream.close()
        for number in range(2):
            assert self.stack.ask(2, f"stream {number}", accept="text/event-stream") == 200

    def back_upstream(self) -> None:
        self._upstream.enter_context(self.stack.upstream.up())

    def end_streams(self) -> None:
        self.back_upstream()
        self._ask_until_all_answer()

    def cause_key(self) -> None:
        self.stack.upstream.revoked.add("sk-lab-a")
        assert self.stack.ask(2, "with a revoked key") == 200

    def end_key(self) -> None:
        """A new key comes with a start of the app: one that was refused is left alone for minutes.

        An answer ends the alert, and not the start.
        """
        self.stack.upstream.revoked.clear()
        self.start_second()
        self._ask_until_all_answer(least=1)

    def _ask_until_all_answer(self, least: int = 12, of: int = 2) -> None:
        """So many good answers that two failures are few beside them, and none of the vendors is down."""
        asked, deadline = 0, time.monotonic() + 60
        while time.monotonic() < deadline and (
            asked < least or self.stack.told.last("ProviderDown") == "firing"
        ):
            asked += 1
            assert self.stack.ask(of, f"again {time.monotonic()}") in (200, 502, 503)
            time.sleep(0.3)

    def cause_nginx(self) -> None:
        self.stack.around.stop("NginxDown")

    def end_nginx(self) -> None:
        self.stack.around.start("NginxDown")

    def cause_mysql(self) -> None:
        self.stack.around.stop("MysqlDown")

    def end_mysql(self) -> None:
        self.stack.around.start("MysqlDown")

    def cause_redis(self) -> None:
        """Keys that may not go fill it; the app's own writes are refused from then on. That is held back, for
        which what Redis itself says comes first here, however slow a scrape of it is.
        """
        begun = time.monotonic()
        with self._redis() as client:
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("maxmemory", FULL)
            self._fill(client)
            servers.wait_for(
                lambda: self.stack.told.came("RedisNotWritable", "firing", begun) is not None,
                what="RedisNotWritable",
            )
            self.stack.cause("RedisErrors")

            def held_back() -> bool:
                self._fill(client)
                return self.stack.held_back("RedisErrors") is not None

            self._ask_until(held_back)

    def _fill(self, client: redis_client.Redis) -> None:
        """Leave no room, not even for one small key: that of a value of 50 kB is enough for an app's own."""
        for size in (50_000, 500, 5):
            with suppress(redis_client.exceptions.OutOfMemoryError):
                while True:
                    client.set(f"others:{next(self._others)}", b"x" * size)

    def end_redis(self) -> None:
        """What failed three times counts as failing until it succeeds: users go on asking until then."""
        with self._redis() as client:
            client.delete(*client.keys("others:*"))
        firing = 'ALERTS{alertname="RedisErrors",alertstate="firing"}'
        self._ask_until(lambda: not self.stack.query(firing))

    def _ask_until(self, done: Callable[[], bool]) -> None:
        """Ask the first instance while Redis refuses others, too, so that RedisNotWritable goes on."""
        number = itertools.count()

        def asked() -> bool:
            with self._redis() as client, client.pipeline(transaction=False) as refused:
                # Redis takes what is sent at once in one go, so that this limit is nobody else's.
                refused.config_set("maxmemory-policy", "noeviction")
                refused.config_set("maxmemory", 1)
                refused.set("others:refused", b"x")
                refused.config_set("maxmemory", FULL)
                refused.config_set("maxmemory-policy", "volatile-lru")
                refused.execute(raise_on_error=False)
            assert self.stack.ask(1, f"kept or not {time.monotonic()} {next(number)}") == 200
            return done()

        servers.wait_for(asked, what="what failed is held back, or over")

    def _redis(self) -> redis_client.Redis:
        return redis_client.Redis(port=self.stack.around.ports["redis"])

    def cause_disk(self) -> None:
        self._filled = fill(self.disk, 93)

    def end_disk(self) -> None:
        self._filled.unlink()

    def cause_clock(self) -> None:
        set_clock(synchronised=False)

    def end_clock(self) -> None:
        set_clock(synchronised=True)

    def cause_slow(self) -> None:
        self.stack.many(8, lambda n: self.stack.ask(3, f"slow {n}"), at_once=8)

    def end_slow(self) -> None:
        """A provider that failed is down until it answers: that the app began anew is no sign of it."""
        self.start_third(FREE)
        self._ask_until_all_answer(least=1, of=3)
        servers.wait_for(lambda: self.stack.told.last("ProviderDown") != "firing", what="no provider is down")

    def cause_loop(self) -> None:
        for _ in range(3):
            before = self._third_began()
            self.stack.apps[3][1].kill()
            self.start_third(FREE)
            servers.wait_for(lambda before=before: self._third_began() not in ("", before))

    def _third_began(self) -> str:
        """When the process of the third instance began, as Prometheus has scraped it."""
        found = self.stack.query('process_start_time_seconds{instance="app-3"}')
        return found[0]["value"][1] if found else ""

    def end_loop(self) -> None:
        """It runs on."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with ExitStack() as everything:
        yield Lab(tmp_path_factory.mktemp("faults"), everything)


@pytest.fixture(scope="module")
def faults(lab: Lab, request: pytest.FixtureRequest) -> dict[str, Fault]:
    """Each fault that this machine allows, with what was told of it."""
    caused = [name for name in FAULTS if POSSIBLE.get(name, lambda: True)()]
    before = [n.alert for n in lab.stack.told.notes]
    for name in caused:
        lab.run(name)
    notes = list(lab.stack.told.notes)
    assert before == []
    ends = [FAULTS[name].begun for name in caused[1:]] + [float("inf")]
    for name, end in zip(caused, ends, strict=True):
        FAULTS[name].notes = [n for n in notes if FAULTS[name].begun <= n.at < end]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n" + "\n".join(table(FAULTS[name] for name in caused)))
    return {name: FAULTS[name] for name in caused}


def table(faults: Iterable[Fault]) -> list[str]:
    """From each cause to its notification: here, and with the durations that nobody changed at most."""
    lines = []
    for fault in faults:
        longest = at_most(alerts()[fault.alert])
        lines.append(f"  {fault.what:40}{fault.alert:22}{fault.seconds or -1:6.1f} s {longest:6.0f} s")
    return lines


def test_each_fault_is_told_once_in_time_by_the_right_alert_alone_and_so_is_its_end(
    faults: dict[str, Fault], subtests: pytest.Subtests
) -> None:
    takes_long = {"ServiceRestarting", "AnalysisSlow"}
    for name, fault in faults.items():
        notes = [(n.alert, n.status, n.at - fault.begun, n.labels) for n in fault.notes]
        with subtests.test(name):
            assert len(fault.told()) == 1, notes
            assert fault.seconds is not None
            assert fault.seconds < IN_TIME + (30 if fault.alert in takes_long else 0), notes
            others = {n.alert for n in fault.notes if n.status == "firing"} - {fault.alert}
            assert others <= set(fault.also), notes
            paged = {n.alert for n in fault.notes if n.labels.get("page") == "true"}
            assert len(paged) <= 1, notes
            # A loop of crashes is over for its alert when its last three restarts are long ago.
            assert fault.told("resolved") or name == "loop", notes
    down = {n.labels["provider"] for n in faults["key"].notes if n.alert == "ProviderDown"}
    assert down == {"lab-a"}, "of several providers the one whose key was revoked"
    if impossible := FAULTS.keys() - faults.keys():
        pytest.skip(f"this process may not cause {sorted(impossible)}: no loop devices, or no kernel's clock")


def test_trouble_of_the_monitoring_itself_is_told_and_taken_back(faults: dict[str, Fault], lab: Lab) -> None:
    """On the stack whose faults are over: a start of another one takes as long as all of this."""
    stack = lab.stack
    stack.change_alerts({**dict.fromkeys(ITSELF, SHORT), "NotificationsFailing": {"window": "12s"}})
    root = stack.directory
    broken, config = root / "textfile" / "broken.prom", root / "alertmanager" / "alertmanager.yml"
    good = config.read_text()
    stack.cause("AlertCannotFire", "MonitoringDegraded", "NotificationsFailing")
    silence = stack.techsapo(
        "alerts", "silence", "AlertCannotFire", "--for", "5m", "--comment", "lab"
    ).strip()
    broken.write_text("not a metric {\n")
    config.write_text("route: {")
    stack.alertmanager.process.send_signal(signal.SIGHUP)
    stack.settle(stack.fired, "MonitoringDegraded")
    servers.wait_for(
        lambda: bool(stack.states().get("AlertCannotFire", {}).get("status", {}).get("silencedBy"))
    )
    assert stack.fired("AlertCannotFire") is None
    listed = {a["name"]: a["state"] for a in json.loads(stack.techsapo("alerts", "list", "--json"))["alerts"]}
    assert listed["AlertCannotFire"] == "silenced"
    assert listed["MonitoringDegraded"] == "firing"
    assert set(listed) == {name for name, alert in alerts().items() if not alert.machines}
    assert silence[:8] in stack.techsapo("alerts", "silence", "--list")
    stack.techsapo("alerts", "silence", "--expire", silence[:8])
    recorded = [a for a in json.loads(stack.techsapo("audit", "show", "--json")) if "silence" in a["what"]]
    assert [(a["action"], a["outcome"], a["what"]["silence"]) for a in recorded[-2:]] == [
        ("alerts silence", "done", silence), ("alerts silence --expire", "done", silence),
    ]  # fmt: skip
    stack.told.refused.add("info")
    stack.techsapo("alerts", "test", "ConfigChanged", code=1)
    stack.settle(stack.fired, *ITSELF)
    assert None not in [stack.fired(name) for name in ITSELF], "\n".join(map(stack.why, ITSELF))

    # One after another. An Alertmanager that reads its configuration while an alert ends may not say so: its
    # group begins anew, and its first message is of others that ended.
    *others, last = "AlertCannotFire", "NotificationsFailing", "MonitoringDegraded"
    stack.end(*others)
    broken.unlink()
    stack.told.refused.clear()
    stack.settle(stack.resolved, *others)
    config.write_text(good)
    stack.alertmanager.process.send_signal(signal.SIGHUP)
    reloaded = "alertmanager_config_last_reload_successful 1"
    servers.wait_for(
        lambda: reloaded in httpx.get(f"{stack.alertmanager.url}/metrics", timeout=60, trust_env=False).text
    )
    stack.end(last)
    stack.settle(stack.resolved, last)
    assert None not in [stack.resolved(name) for name in ITSELF], "\n".join(map(stack.why, ITSELF))


def test_a_synthetic_alert_is_timed_on_its_way_to_the_receiver(lab: Lab) -> None:
    stack = lab.stack
    said = stack.techsapo("alerts", "test", "MemoryHigh")
    assert re.search(r"MemoryHigh reached receiver critical \(webhook\) in [\d.]+ s", said)
    assert any(n.alert == "MemoryHigh" and "techsapo_test" in n.labels for n in stack.told.notes)
