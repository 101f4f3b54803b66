"""The guide's own PromQL, as it stands there, against a Prometheus that scrapes an app of every vendor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import yaml
from asking import KEY, PRICE
from orchestrator import ask, serving
from vendors import vendor
from vendors.wires import WIRES

pytestmark = pytest.mark.lab

SPENT = "sum(increase(techsapo_wallbounce_cost_usd[24h]))"
QUERIES = (
    "techsapo_wallbounce_success_rate",
    "techsapo_wallbounce_avg_confidence_5m",
    'techsapo_llm_success_rate_by_provider{provider="Gemini"}',
    "techsapo_wallbounce_consensus_score",
    "techsapo_http_p95_response_time",
    "techsapo_active_connections",
    "techsapo_memory_usage_percent",
    "techsapo_cpu_usage_percent",
    SPENT,
    'techsapo_provider_cost_usd{provider="openai"}',
    'techsapo_provider_cost_usd{provider="google"}',
    "techsapo_budget_utilization_percent",
    "techsapo_auth_failures_total",
    "techsapo_rate_limit_hits_total",
    "techsapo_anomaly_requests_total",
)


def found(prometheus: servers.Server, query: str) -> list[dict[str, Any]]:
    url = f"{prometheus.url}/api/v1/query"
    told = httpx.get(url, params={"query": query}, timeout=60, trust_env=False).json()
    return list(told["data"]["result"])


def test_each_query_of_the_guide_finds_series_after_one_analysis(tmp_path: Path) -> None:
    def watch(providers: dict[str, Any]) -> None:
        with serving(tmp_path / "app", providers=providers, budget={"monthly_usd": 10}) as app:
            target = {"job_name": "techsapo-app", "static_configs": [{"targets": [f"127.0.0.1:{app.port}"]}]}
            config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
            with servers.prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as prometheus:
                servers.wait_for(lambda: bool(found(prometheus, SPENT)), what="two scrapes")
                answer = ask(app, "サービスが起動しない")
                assert answer.status_code == 200, answer.text
                cost = answer.json()["cost_usd"]
                assert cost > 0
                servers.wait_for(
                    lambda: [q for q in QUERIES if not found(prometheus, q)] == [],
                    what="a series for every query",
                )
                by_vendor = 'sum(techsapo_provider_cost_usd{provider=~"openai|google"})'
                (told,) = found(prometheus, by_vendor)
                assert float(told["value"][1]) == pytest.approx(cost, rel=1e-6)

    async def main() -> None:
        async with vendor(WIRES["openai"]) as gpt, vendor(WIRES["google"]) as gemini:
            common = {"api_key": KEY, "model": "good", "price": PRICE, "max_output_tokens": 1000}
            providers = {
                "gpt": {"kind": "openai", "base_url": gpt.url, **common},
                "gemini": {"kind": "google", "base_url": gemini.url, **common},
            }
            await asyncio.to_thread(watch, providers)

    asyncio.run(main())
