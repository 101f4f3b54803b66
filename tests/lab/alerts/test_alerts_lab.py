"""The way of an alert: a real fault, the app's metrics, Prometheus, Alertmanager, the receiver, and back.

Only durations are shortened, through the spec. All faults happen once, in one stack: three instances of the
app, each with a part of the trouble, scraped by one Prometheus. A test of its own then asks for each alert.

By day `test_alert_faults_lab.py` has a fault of each kind, and trouble of the monitoring itself. The cases of
alerts have each of them.
"""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import servers
from alert_lab import memory_group
from alert_stack import Stack
from orchestrator import QUICK
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

SHORT = {"for": "1s"}
LATER = {"for": "8s"}
"""Milder alerts, so that on a busy machine, too, the worse one is there first and mutes them."""
PASSED = {**SHORT, "keep_firing_for": "0s"}
PASSING = {"window": "12s", "keep_firing_for": "0s"}
CHANGES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(["ConfidenceLow", "MemoryHigh", "AnalysesFailing"], SHORT),
    **dict.fromkeys(["BudgetHigh", "TargetDown"], SHORT),
    **dict.fromkeys(["AppDown", "NginxDown", "RedisDown", "MysqlDown"], PASSED),
    "LlmErrorsHigh": LATER,
    # AnalysesFailing tells of what they would.
    **dict.fromkeys(["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"], LATER),
    **dict.fromkeys(["AuthFailuresHigh", "ApiKeyMisuse", "SensitiveAccess", "AbnormalTraffic"], PASSING),
    "ProviderAdded": {"window": "12s"},
    "ConfigChanged": {"threshold": 0.2},
    # An attempt to write takes five seconds until it fails.
    "AuditErrors": {"threshold": 1, "minimum": 2, "window": "8s", "for": "1s"},
    # Their thresholds are durations, too: 10 s and 5 s by default.
    "ResponseTimeHigh": {"threshold": 0.5, "for": "1s"},
    "ResponseTimeSlow": {"threshold": 0.2, "for": "4s"},
    "DailyRequestsHigh": {"minimum": 10, "for": "1s"},
}
SLOW = ("ResponseTimeHigh", "DailyRequestsHigh")
DEAD = ("ProviderDown", "AnalysesFailing")
ATTACKED = ("AuthFailuresHigh", "ApiKeyMisuse", "SensitiveAccess", "AbnormalTraffic")
POOR = ("RedisErrors", "ConfidenceLow", "BudgetHigh", "MemoryHigh", "AuditErrors")
STOPPED = ("NginxDown", "RedisDown", "MysqlDown")
REBORN = ("TargetDown", "ConfigChanged", "ProviderAdded")
MUTED = {
    "ResponseTimeSlow": SLOW[0],
    "LlmErrorsHigh": "ProviderDown",
}
"""Milder alerts by the worse ones about the same that hold them back."""
UNMUTED = ("LlmErrorsHigh",)
"""Milder alerts that still hold when the worse one is over."""
BEFORE = (*SLOW, *DEAD, *ATTACKED, *POOR, *REBORN)
"""Those that are over before the servers around the apps, and the apps themselves, are stopped."""
TOLD = (*BEFORE, *STOPPED, "AppDown")


def ending(*names: str) -> list[str]:
    """Those of which it is told that they are over: what is for the record is one message."""
    return [name for name in names if alerts()[name].severity != "info"]


BUSY = {"auth": {"proxies": ["127.0.0.1"]}}
"""Each question of the customers comes from an address of its own."""
FREE = {name: {**p, "price": {"input": 0, "output": 0}} for name, p in QUICK.items()}
DEAR = {name: {**p, "accuracy": 0, "price": {"input": 30, "output": 120}} for name, p in QUICK.items()}


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A stack after it got into every kind of trouble and out again."""
    begun = time.monotonic()
    with ExitStack() as faults:
        stack = Stack(tmp_path_factory.mktemp("alerts"), CHANGES, faults)
        group = faults.enter_context(memory_group())
        faults.callback(stack.stop)
        upstream = faults.enter_context(ExitStack())
        upstream.enter_context(stack.upstream.up())
        stack.start(1, **guarded(stack))
        stack.start(2, **vendors(stack, "lab-a", "lab-b"))
        stack.start(3, providers=DEAR, prefix=group.enter, budget={"count_simulated": True})
        servers.wait_for(lambda: len(stack.query('up{job="techsapo-app"} == 1')) == 3, timeout=60)

        lock = locked_audit(stack)
        slow_upstream(stack)
        blocked_worker(stack)
        upstream.close()
        dead_upstream(stack)
        stack.around.redis_allows("-@read", "-@write", "-@scripting")
        attacks(stack)
        wrong_and_dear(stack)
        stack.cause("MemoryHigh")
        group.limit(int(group.used() / 0.94))
        stack.settle(stack.fired, *SLOW, *DEAD, *ATTACKED, *POOR)
        stack.settle(stack.held_back, *MUTED)

        group.limit(1 << 40)
        lock.close()
        stack.end("MemoryHigh", "AuditErrors", "ProviderDown", *ATTACKED)
        upstream.enter_context(stack.upstream.up())
        stack.around.redis_allows("+@all")
        stack.end("RedisErrors")
        ask_redis(stack, stack.resolved)
        servers.wait_for(lambda: stack.ask(2, f"back {time.monotonic()}") == 200, what="the vendor is back")
        stack.settle(stack.fired, "LlmErrorsHigh")
        reborn(stack)
        good_days(stack)
        stopped(stack)
        stack.cause("AppDown")
        stack.kill()
        stack.settle(stack.fired, "AppDown")
        with ThreadPoolExecutor(1) as pool:
            back = pool.submit(stack.around.start, *STOPPED)
            stack.start(1, **guarded(stack))
            stack.end("AppDown")
            back.result()
        stack.end(*STOPPED)
        stack.start(2, **vendors(stack, "lab-a", "lab-b", "lab-c"))
        stack.start(3, **friendly())
        stack.settle(stack.resolved, "AppDown", "TargetDown", *STOPPED)
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(
                f"\ncause to notification, end of cause to resolved; {time.monotonic() - begun:.0f} s in all"
            )
            for name in stack.caused:
                print(f"  {name:22}{_shown(stack.fired(name))}  {_shown(stack.resolved(name))}")
        yield stack


def _shown(seconds: float | None) -> str:
    return f"{'-':>8}" if seconds is None else f"{seconds:6.1f} s"


def guarded(stack: Stack) -> dict[str, Any]:
    auth = {"required": True, "keys_file": str(stack.directory / "keys.json"), "proxies": ["127.0.0.1"]}
    return {"app": {"auth": auth}, "providers": FREE, "redis": {"port": stack.around.ports["redis"]}}


def vendors(stack: Stack, *names: str) -> dict[str, Any]:
    breaker = {"breaker": {"cooldown": "1s"}}
    return {
        "providers": {name: stack.upstream.provider() for name in names}, "wallbounce": breaker, "app": BUSY
    }  # fmt: skip


def friendly() -> dict[str, Any]:
    """Right answers that cost nothing, and money in plenty."""
    return {"providers": FREE, "budget": {"daily_usd": 100, "monthly_usd": 3000}, "app": BUSY}


def slow_upstream(stack: Stack) -> None:
    """The vendor takes longer than our own time may be. Nobody is told: it is not ours."""
    stack.cause("DailyRequestsHigh")
    stack.upstream.delay = 1.2
    stack.many(16, lambda n: stack.ask(2, f"slow {n}"), at_once=16)
    stack.upstream.delay = 0.0
    whole = "techsapo:http_request_duration_seconds:p95_5m > 1"
    servers.wait_for(lambda: bool(stack.query(whole)), what="the vendor's time is on record")
    assert [n.alert for n in stack.told.notes if n.alert.startswith("ResponseTime")] == []


def blocked_worker(stack: Stack) -> None:
    """The second instance gets no turn for most of each second: whoever asks waits for us, not the vendor."""
    stack.cause("ResponseTimeHigh", "ResponseTimeSlow")
    process, over = stack.apps[2][1].process, threading.Event()

    def block() -> None:
        while not over.is_set():
            process.send_signal(signal.SIGSTOP)
            over.wait(0.7)
            process.send_signal(signal.SIGCONT)
            over.wait(0.2)

    def ask(number: int) -> None:
        stack.ask(2, f"slow {number % 16}")  # a kept answer: no vendor is asked
        over.wait(0.15)

    with ThreadPoolExecutor(1) as pool:
        blocking = pool.submit(block)
        try:
            stack.many(64, ask)
        finally:
            over.set()
    blocking.result()
    stack.settle(stack.held_back, "ResponseTimeSlow")


def dead_upstream(stack: Stack) -> None:
    """Nobody listens where the vendor was. Streams have begun by then: they fail as HTTP 200."""
    stack.cause(*DEAD, *UNMUTED)
    assert stack.ask(2, "dead stream", accept="text/event-stream") == 200
    assert {stack.ask(2, f"dead {n}") for n in range(16)} <= {502, 503}
    stack.settle(stack.fired, "AnalysesFailing")


def attacks(stack: Stack) -> None:
    stack.cause(*ATTACKED, "RedisErrors")
    stack.many(20, lambda n: stack.ask(1, f"guess {n}", key="tsk_guess"))
    for n in range(6):
        assert stack.ask(1, f"mine was revoked {n}", key=stack.keys["old"]) == 401
    for n in range(4):
        assert stack.ask(1, f"mine has expired {n}", key=stack.keys["late"]) == 401
    with httpx.Client(base_url=stack.url(1, ""), timeout=60, trust_env=False) as client:
        assert {client.get(f"/{n}/.env").status_code for n in range(25)} == {404}
        for n in range(90):
            client.get(f"/admin/{n}")
    ask_redis(stack, stack.fired)


def ask_redis(stack: Stack, said: Callable[[str], float | None]) -> None:
    """Ask the first instance until `said` knows of RedisErrors, or in vain.

    After an error the app leaves Redis alone for a second: many questions at once are two errors.
    """
    deadline = time.monotonic() + 60
    while said("RedisErrors") is None and time.monotonic() < deadline:
        stack.many(2, lambda n: stack.ask(1, f"of redis {n}", key=stack.keys["good"]))
        time.sleep(0.3)


def locked_audit(stack: Stack) -> sqlite3.Connection:
    """Another program holds the third instance's database. Its answers are wrong besides."""
    assert stack.ask(3, "first") == 200  # what was spent is read from that database once
    lock = sqlite3.connect(stack.directory / "app-3" / "data" / "audit.sqlite", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    stack.cause("AuditErrors", "ConfidenceLow")
    for number in range(3):
        assert stack.ask(3, f"not written down {number}") == 200
    return lock


def wrong_and_dear(stack: Stack) -> None:
    """Wrong answers that cost much."""
    stack.cause("BudgetHigh")

    def share() -> float:
        text = httpx.get(stack.url(3, "/metrics"), timeout=60, trust_env=False).text
        line = next(
            t for t in text.splitlines() if t.startswith('techsapo_budget_utilization_percent{period="day"}')
        )
        return float(line.split()[1])

    # One at a time, as each reserves some 2 USD. Once one is refused, the budget counts as used up, and the
    # alert on that holds this one back.
    asked = 0
    while share() <= 81:
        asked += 1
        assert stack.ask(3, f"dear {asked}") == 200
    stack.end("AuditErrors")


def reborn(stack: Stack) -> None:
    """More money, and one vendor more: the apps are killed and started with another spec, as by an apply."""
    stack.cause(*REBORN)
    stack.end("BudgetHigh")  # nobody tells of the old ledger any more
    for number in (2, 3):
        stack.apps[number][1].kill()
    stack.settle(stack.fired, "TargetDown")
    stack.start(2, **vendors(stack, "lab-a", "lab-b", "lab-c"))
    stack.start(3, **friendly())
    stack.end("TargetDown")
    stack.applied(number=2)
    stack.settle(stack.fired, "ConfigChanged", "ProviderAdded")
    stack.end("ConfigChanged", "ProviderAdded")


def good_days(stack: Stack) -> None:
    """So many good answers that slow, failed and doubtful ones are few beside them."""
    # With grades as before, the answers of one instance would be doubtful, and half of all are not enough.
    stack.upstream.agrees = True
    stack.end("ConfidenceLow", "AnalysesFailing", *SLOW, *UNMUTED)
    # First so few that time passes between the end of the worse alert (3 % fail) and of the milder (0.5 %).
    with stack.customers(2, 3, pause=0.4):
        stack.settle(stack.fired, *UNMUTED)
    with stack.customers(2, 3):
        stack.settle(stack.resolved, *ending(*BEFORE, *UNMUTED))


def stopped(stack: Stack) -> None:
    """Users are refused, and the apps go on alone; every target of Prometheus is up."""
    stack.cause(*STOPPED)
    stack.around.stop(*STOPPED)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{stack.around.ports['nginx']}/ping", timeout=60, trust_env=False)
    assert stack.ask(2, "past nginx") == 200
    assert stack.query("up == 0") == []
    # Waits in vain must not add up to the time that the whole fixture has.
    stack.settle(stack.fired, *STOPPED)
    ask_redis(stack, stack.held_back)


@each_row("name", TOLD)
def test_an_alert_is_told_once_its_cause_is_there(trouble: Stack, name: str) -> None:
    assert trouble.fired(name) is not None, trouble.why(name)


@each_row("name", MUTED)
def test_a_milder_alert_is_held_back_by_a_worse_one_about_the_same(trouble: Stack, name: str) -> None:
    told, over = trouble.told.came(name, "firing"), trouble.told.came(MUTED[name], "resolved")
    assert trouble.held_back(name) is not None, trouble.why(name)
    # That the worse one is over frees the milder at once, and may itself be told up to group_interval later.
    assert over is not None, trouble.why(name)
    assert told is None or told > min(over, trouble.ended[MUTED[name]]), trouble.why(name)


def test_what_follows_from_a_redis_that_is_down_is_held_back_by_the_alert_about_it(trouble: Stack) -> None:
    stopped_at = trouble.caused["RedisDown"]
    told = [n.status for n in trouble.told.notes if n.alert == "RedisErrors" and n.at > stopped_at]
    assert trouble.held_back("RedisErrors") is not None, trouble.why("RedisErrors")
    assert told == [], trouble.why("RedisErrors")


@each_row("name", UNMUTED)
def test_a_milder_alert_is_told_once_the_worse_one_is_over(trouble: Stack, name: str) -> None:
    assert trouble.fired(name) is not None, trouble.why(name)


def test_an_apply_is_told_in_one_message_with_its_number(trouble: Stack) -> None:
    told = [n for n in trouble.told.notes if (n.alert, n.status) == ("ConfigChanged", "firing")]
    assert [n.labels["number"] for n in told] == ["2"], trouble.why("ConfigChanged")


@each_row("name", ending(*TOLD, *UNMUTED))
def test_an_alert_is_taken_back_once_its_cause_is_gone(trouble: Stack, name: str) -> None:
    assert trouble.resolved(name) is not None, trouble.why(name)
