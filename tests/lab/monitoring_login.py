"""What strangers, and what belongs to a stack, get of its Prometheus and Alertmanager."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from projects import Project
from servers import wait_for

KINDS = ("prometheus", "alertmanager")


def status(stack: Project, kind: str, path: str, content: bytes | None = None, **headers: str) -> int:
    """The HTTP status of an answer to a GET, or to a POST of `content` as a form of another site sends it."""
    port = stack.spec["monitoring"][kind]["port"]
    if content is not None:
        headers = {"Content-Type": "text/plain", "Origin": "https://evil.example", **headers}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", content, headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def all_log_in(stack: Project) -> None:
    """See that Prometheus scrapes itself and Alertmanager, and that the tool and the app ask them."""

    def scraped() -> bool:
        up = stack.ask("prometheus", "api/v1/query?query=up")["data"]["result"]
        return {s["metric"]["job"]: s["value"][1] for s in up} == {
            "techsapo-app": "1", "prometheus": "1", "alertmanager": "1",
        }  # fmt: skip

    wait_for(scraped, what="itself, Alertmanager and the app scraped")
    stack.well()

    def healthy() -> bool:
        """A scrape that was under way while the password changed counts until the next one."""
        targets = [p["status"] for p in stack.health()["probes"] if p["kind"] == "target"]
        return targets == ["healthy"] * 3

    wait_for(healthy, what="all targets healthy")
    assert json.loads(stack.run("alerts", "list", "--json").stdout)["trouble"] is None
    said = json.loads(stack.run("alerts", "silence", "MemoryHigh", "-c", "lab", "--json").stdout)
    active = [s["id"] for s in silences(stack) if s["status"]["state"] == "active"]
    assert active == [said["id"]]
    stack.run("alerts", "silence", "--expire", said["id"])
    url = f"http://127.0.0.1:{stack.spec['app']['port']}/api/v1/dashboards"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert json.load(answer)["prometheus"] == "ready"


def alert_arrives(stack: Project, name: str = "Watchdog") -> None:
    """See that Prometheus tells Alertmanager of an alert; one from before it knew Alertmanager it repeats
    after a minute.
    """

    def told() -> bool:
        return any(a["labels"]["alertname"] == name for a in stack.ask("alertmanager", "api/v2/alerts"))

    wait_for(told, timeout=100, what="an alert on its way from Prometheus to Alertmanager")


def silences(stack: Project) -> list[dict[str, dict[str, str]]]:
    """Those that Alertmanager knows, expired ones too."""
    found: list[dict[str, dict[str, str]]] = stack.ask("alertmanager", "api/v2/silences")
    return found
