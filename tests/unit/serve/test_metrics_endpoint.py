from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from orchestrator import QUICK, client_of, make_parts
from prometheus_client.parser import text_string_to_metric_families

from techsapo_ops.catalogue.metrics import metrics
from techsapo_ops.serve.parts import Parts

URL = "/api/v1/generate"
SERVER_ONLY = {"techsapo_active_connections"}
"""Known to the HTTP server, which a test in this process goes without."""
GUIDE = {name for name, metric in metrics().items() if metric.kind == "untyped"}


def scrape(parts: Parts, *prompts: str, paths: tuple[str, ...] = ()) -> str:
    async def main() -> str:
        async with client_of(parts) as client:
            for prompt in prompts:
                await client.post(URL, json={"prompt": prompt})
            for path in paths:
                await client.get(path)
            await client.get("/metrics")  # CPU needs two looks
            return (await client.get("/metrics")).text

    return asyncio.run(main())


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def names(text: str) -> set[str]:
    found = {name for name, _ in samples(text) if name.startswith("techsapo_")}
    return {n for n in found if not n.endswith("_created")}


def test_every_metric_of_the_catalogue_is_exported_and_nothing_else(tmp_path: Path) -> None:
    exported = names(scrape(make_parts(tmp_path), "disk full"))
    wanted = {series for metric in metrics().values() for series in metric.series}
    assert wanted - exported - SERVER_ONLY == set()
    assert exported - wanted == set()


def test_labels_are_those_of_the_catalogue(tmp_path: Path) -> None:
    for name, labels in samples(scrape(make_parts(tmp_path), "disk full")):
        metric = next((m for m in metrics().values() if name in m.series), None)
        if metric is not None:
            assert {k for k, _ in labels} - {"le"} == set(metric.labels), name


def test_the_guides_names_are_untyped_and_stand_as_they_are_written(tmp_path: Path) -> None:
    text = scrape(make_parts(tmp_path), "disk full")
    for name in GUIDE - SERVER_ONLY:
        assert f"# TYPE {name} untyped" in text
    assert "\ntechsapo_wallbounce_cost_usd " in text
    assert '\ntechsapo_provider_cost_usd{provider="sim-a"} ' in text


def test_an_idle_instance_has_no_ratios(tmp_path: Path) -> None:
    exported = names(scrape(make_parts(tmp_path)))
    for ratio in ("success_rate", "avg_confidence_5m", "consensus_score"):
        assert f"techsapo_wallbounce_{ratio}" not in exported
    assert "techsapo_llm_success_rate_by_provider" not in exported


def test_values_agree_with_what_was_answered(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)

    async def main() -> tuple[dict[str, float], str]:
        async with client_of(parts) as client:
            bodies = [(await client.post(URL, json={"prompt": p})).json() for p in ("a", "b", "a")]
            first, second, _ = bodies
            told = {
                "cost": sum(b["cost_usd"] for b in bodies),
                "confidence": (first["confidence"] + second["confidence"]) / 2,
                "consensus": (first["consensus"] + second["consensus"]) / 2,
            }
            return told, (await client.get("/metrics")).text

    told, text = asyncio.run(main())
    seen = samples(text)
    task = ("task_type", "basic")
    assert seen[("techsapo_wallbounce_requests_total", (("status", "success"), task))] == 2
    assert seen[("techsapo_wallbounce_cost_usd", ())] == pytest.approx(told["cost"])
    assert seen[("techsapo_wallbounce_avg_confidence_5m", ())] == pytest.approx(told["confidence"], abs=1e-4)
    assert seen[("techsapo_wallbounce_consensus_score", ())] == pytest.approx(told["consensus"], abs=1e-4)
    assert seen[("techsapo_wallbounce_success_rate", ())] == 1
    assert seen[("techsapo_llm_success_rate_by_provider", (("provider", "sim-a"),))] == 1
    assert seen[("techsapo_cache_requests_total", (("result", "hit"),))] == 1
    budget = parts.spec.budget.monthly_usd
    month = seen[("techsapo_budget_utilization_percent", (("period", "month"),))]
    assert month == pytest.approx(100 * told["cost"] / budget)


def test_failures_are_counted_by_kind(tmp_path: Path) -> None:
    down = {name: {**provider, "rate_limit_rate": 1} for name, provider in QUICK.items()}
    seen = samples(scrape(make_parts(tmp_path, providers=down), "a"))
    labels = (
        ("model", "simulated-1"),
        ("provider", "sim-a"),
        ("status", "rate_limited"),
        ("task_type", "basic"),
    )
    assert seen[("techsapo_llm_requests_total", labels)] == 1
    assert seen[("techsapo_wallbounce_requests_total", (("status", "error"), ("task_type", "basic")))] == 1
    assert seen[("techsapo_wallbounce_success_rate", ())] == 0


def test_a_call_that_ends_with_its_client_is_not_the_providers_fault(tmp_path: Path) -> None:
    slow = {"sim-a": {**QUICK["sim-a"], "latency": {"mean": "60s"}}, "sim-b": QUICK["sim-b"]}
    parts = make_parts(tmp_path, providers=slow)
    answered = 'provider="sim-b",status="success",task_type="basic"} 1.0'

    async def main() -> str:
        async with client_of(parts) as client:
            asked = asyncio.create_task(client.post(URL, json={"prompt": "a"}))
            text = ""
            while answered not in text:
                text = (await client.get("/metrics")).text
            asked.cancel()
            while "techsapo_inflight_analyses 0.0" not in text:
                text = (await client.get("/metrics")).text
            return text

    seen = samples(asyncio.run(main()))
    labels = (
        ("model", "simulated-1"),
        ("provider", "sim-a"),
        ("status", "cancelled"),
        ("task_type", "basic"),
    )
    assert seen[("techsapo_llm_requests_total", labels)] == 1
    assert ("techsapo_llm_success_rate_by_provider", (("provider", "sim-a"),)) not in seen


def test_hostile_paths_and_methods_make_no_new_series(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)

    async def main() -> tuple[int, int]:
        async with client_of(parts) as client:

            async def http_series() -> int:
                return sum(
                    name == "techsapo_http_requests_total"
                    for name, _ in samples((await client.get("/metrics")).text)
                )

            await client.get("/x")
            await client.request("BREW", "/x")
            await client.get("/metrics")
            before = await http_series()
            for n in range(300):
                await client.get(f"/x{n}/%2e%2e/{n}?q={n}")
                await client.request(f"M{n}", f"/y{n}")
            return before, await http_series()

    before, after = asyncio.run(main())
    assert after == before


@pytest.mark.lab
def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    text = scrape(make_parts(tmp_path), "disk full", paths=("/", "/nope"))
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_openmetrics_is_spoken_to_those_who_ask(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)

    async def main() -> httpx.Response:
        async with client_of(parts) as client:
            accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
            return await client.get("/metrics", headers=accept)

    response = asyncio.run(main())
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
