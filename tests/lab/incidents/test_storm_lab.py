"""500 alerts at once, for two instances of the app on a real MariaDB and Redis; one of them killed midway."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_rows import prepare, query
from orchestrator import serving
from servers import Server, mariadb, redis, wait_for
from slack import Slack, incoming_webhook
from spending import within_a_day
from test_openai_lab import KEY
from vendors import Vendor, vendor
from vendors.wires import Chat

pytestmark = pytest.mark.lab

GROUPS, EACH = 25, 20
PRICE = {"input": 0.0, "output": 1000.0}
TOKENS = 100
"""Of one reply at most: an investigation costs 0.20 USD at worst, and 0.12 USD as it is."""
DAILY = 5.0
SHARE = 0.2
Work = Callable[[Vendor, Slack, Server, list[Server], Callable[[], object]], None]


def webhook(group: int, now: str, count: int = EACH) -> dict[str, Any]:
    labels = {"alertname": "Slow", "service": f"s{group}"}
    return {
        "version": "4", "groupKey": f'{{}}:{{service="s{group}"}}', "status": "firing", "receiver": "x",
        "truncatedAlerts": 0, "groupLabels": labels, "commonLabels": labels, "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [
            {
                "status": "firing", "labels": {**labels, "pod": f"p{n}", "page": "true"},
                "annotations": {"summary": f"service {group} is slow"}, "startsAt": now,
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": f"{n:016x}",
            }
            for n in range(count)
        ],
    }  # fmt: skip


@contextmanager
def two_apps(folder: Path, seen: Vendor, slack: Slack, model: str) -> Iterator[tuple[Server, list[Server]]]:
    """MariaDB, and two instances that share it, Redis, a model and a webhook."""
    with ExitStack() as stack:
        database = stack.enter_context(mariadb(folder / "mysql"))
        prepare(database)
        store = stack.enter_context(redis(folder / "redis"))
        provider = {
            "kind": "openai-compatible", "model": model, "base_url": seen.url, "api_key": KEY,
            "price": PRICE, "max_output_tokens": TOKENS,
        }  # fmt: skip
        spec = {
            "mysql": {"port": database.port, "user": "root", "password": database.password},
            "redis": {"enabled": True, "port": store.port},
            "providers": {"one": provider, "two": provider},
            "budget": {"monthly_usd": 1000, "daily_usd": DAILY},
            "investigate": {"webhook": slack.url, "budget_share": SHARE, "deadline": "40s"},
        }
        apps = [
            stack.enter_context(serving(folder / name, instance=name, **spec)) for name in ("app-1", "app-2")
        ]
        yield database, apps


def incidents(app: Server, state: str = "all") -> list[dict[str, Any]]:
    wanted: dict[str, Any] = {"limit": 500, "state": state}
    answer = httpx.get(f"{app.url}/api/v1/incidents", params=wanted, timeout=30, trust_env=False)
    listed: list[dict[str, Any]] = answer.json()["incidents"]
    return listed


def incident(app: Server, number: int) -> dict[str, Any]:
    answer = httpx.get(f"{app.url}/api/v1/incidents/{number}", timeout=30, trust_env=False)
    found: dict[str, Any] = answer.json()
    return found


def kinds(app: Server, number: int) -> list[str]:
    return [entry["kind"] for entry in incident(app, number)["timeline"]]


def in_a_loop(folder: Path, model: str, work: Work) -> None:
    """Do `work` in a thread, beside the vendor's loop; what is called last lets a held vendor answer."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with vendor(Chat()) as seen:

            def scene() -> None:
                with incoming_webhook() as slack, two_apps(folder, seen, slack, model) as (database, apps):
                    work(seen, slack, database, apps, lambda: loop.call_soon_threadsafe(seen.released.set))

            await asyncio.to_thread(scene)

    asyncio.run(main())


async def told(apps: Sequence[Server], bodies: Sequence[dict[str, Any]]) -> list[int]:
    """Each body to each instance, all at once."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        urls = [f"{app.url}/api/v1/alerts" for app in apps]
        answers = await asyncio.gather(*(client.post(url, json=body) for body in bodies for url in urls))
    return [answer.status_code for answer in answers]


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_500_alerts_are_one_incident_a_group_told_once_each_and_paid_from_the_purse(tmp_path: Path) -> None:
    within_a_day()

    def work(seen: Vendor, slack: Slack, database: Server, apps: list[Server], _: object) -> None:
        moment = now()
        bodies = [webhook(group, moment) for group in range(GROUPS)]
        assert set(asyncio.run(told(apps, bodies))) == {200}
        wait_for(
            lambda: [i["investigation"] for i in incidents(apps[1])] == ["done"] * GROUPS,
            timeout=240,
            what="an end of each investigation",
        )
        listed = incidents(apps[0])
        assert [i["number"] for i in listed] == list(range(GROUPS, 0, -1))
        assert {(i["alerts"], i["firing"]) for i in listed} == {(EACH, EACH)}
        for n in range(1, GROUPS + 1):
            assert Counter(kinds(apps[0], n)) == Counter(
                {"opened": 1, "joined": 1, "investigating": 1, "evidence": 1, "verdict": 1, "message": 4}
            )
        assert slack.refused == []
        firsts = [m.text for m in slack.messages]
        assert len(firsts) == len(set(firsts)) == 2 * GROUPS
        ((spent, asked),) = query(
            database,
            "SELECT SUM(cost_usd), COUNT(*) FROM techsapo_audit.audit_requests WHERE key_id='investigations'",
        )
        assert len(seen.asked) == 2 * asked
        assert 0 < float(str(spent)) <= SHARE * DAILY
        assert 0 < asked < GROUPS
        question = {"prompt": "why is the shop slow?"}
        answer = httpx.post(f"{apps[0].url}/api/v1/generate", json=question, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text

    in_a_loop(tmp_path, "good", work)


def test_an_instance_that_is_killed_midway_is_followed_by_the_other_and_nothing_is_told_twice(
    tmp_path: Path,
) -> None:
    within_a_day()

    def work(
        seen: Vendor, slack: Slack, _: Server, apps: list[Server], release: Callable[[], object]
    ) -> None:
        asyncio.run(told(apps[:1], [webhook(1, now(), 1)]))
        wait_for(lambda: len(seen.asked) == 2, timeout=60, what="the panel to be asked")
        apps[0].kill()
        assert kinds(apps[1], 1) == ["opened", "investigating", "evidence", "message", "message"]
        wait_for(lambda: len(seen.asked) == 4, what="the panel to be asked by the other instance")
        release()
        wait_for(lambda: "verdict" in kinds(apps[1], 1), timeout=120, what="a verdict by the other instance")
        wait_for(lambda: len(slack.messages) == 2, what="the second message")
        timeline = incident(apps[1], 1)["timeline"]
        resumed = next(e for e in timeline if e["text"] == "resumed")
        assert resumed["by"] == "app-2"
        assert [json.dumps(e["detail"]) for e in timeline if e["kind"] == "evidence"] == [
            json.dumps(e["detail"]) for e in timeline if e["kind"] == "evidence"
        ][:1]
        assert slack.messages[0].text.startswith("インシデント 1：service 1 is slow（アラート 1 件）")
        assert len(seen.asked) == 4

    in_a_loop(tmp_path, "held", work)
