"""One request's way through nginx and the instances, found again in their logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from projects import Project, project, small_spec
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

SIMULATED = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 1, "latency": "1ms"}
    for name, seed in (("sim-a", 1), ("sim-b", 2))
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec(
        app={"instances": [{"port": free_port()}, {"port": free_port()}], "drain": "0s"},
        nginx={"listen": free_port(), "tls_listen": free_port()},
        providers=SIMULATED,
        budget={"monthly_usd": 1000},
    )
    spec["redis"]["enabled"] = False
    for name in ("prometheus", "alertmanager"):
        spec["monitoring"][name]["enabled"] = False
    with project(spec) as made:
        made.run("up", "--yes")
        yield made


def logged(stack: Project, *options: str) -> list[dict[str, Any]]:
    told = stack.run("logs", *options, "--json").stdout
    return [json.loads(line) for line in told.splitlines()]


def test_a_request_is_followed_from_nginx_to_the_instance_that_answered_it(stack: Project) -> None:
    edge = f"http://127.0.0.1:{stack.spec['nginx']['listen']}"
    for n in range(6):
        answer = httpx.post(
            f"{edge}/api/v1/generate",
            json={"prompt": f"question {n}", "task_type": "basic"},
            headers={"X-Request-ID": f"lab-{n}", "X-User-ID": "user_abc"},
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers.get_list("x-request-id") == [f"lab-{n}"]
    wait_for(lambda: len(logged(stack, "--request", "lab-5")) >= 3, what="nginx has logged too")
    instances = set()
    for n in range(6):
        lines = logged(stack, "--request", f"lab-{n}", "--since", "1h")
        assert {line["service"] for line in lines} & {"nginx"}
        (app,) = {line["service"] for line in lines} - {"nginx"}
        instances.add(app)
        said = [line["line"] for line in lines if line["service"] == app]
        (done,) = [line for line in said if line["message"] == "Wall-bounce analysis completed"]
        # The guide's fields.
        assert done["requestId"] == f"lab-{n}"
        assert done["userId"] == "user_abc"
        assert done["providers"] == ["sim-a", "sim-b"]
        assert 0 < done["confidence"] <= 1
        assert 0 <= done["consensus"] <= 1
        assert done["processingTime"] >= 0
        assert done["cost"] > 0
    assert instances == {"app-1", "app-2"}, "both instances answered, and were found"
    lines = [line for line in logged(stack, "app", "--level", "info", "-n", "0") if line["time"]]
    # Merged by time; threads of one instance may write two lines of a moment in the other order.
    changes = [(a, b) for a, b in pairwise(lines) if a["service"] != b["service"]]
    assert changes
    assert all(a["time"] <= b["time"] for a, b in changes)


def test_levels_are_told_apart_over_all_services(stack: Project) -> None:
    everything = logged(stack, "--since", "1h")
    grave = logged(stack, "--level", "warn", "--since", "1h")
    assert len(everything) > len(grave)
    assert not [line for line in grave if line["level"] == "info"]
    assert [line for line in everything if line["level"] == "warn"] == [
        line for line in grave if line["level"] == "warn"
    ]
