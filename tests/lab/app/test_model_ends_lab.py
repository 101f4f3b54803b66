"""A model's end, from the vendor's list through the app's metrics to Prometheus's alerts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
import yaml
from asking import KEY, PRICE
from orchestrator import serving
from vendors import Vendor, vendor
from vendors.wires import WIRES

from techsapo_ops.catalogue.alerts import alerts

pytestmark = pytest.mark.lab

RULES = [{"alert": "ModelRetires", "expr": alerts()["ModelRetires"].expression(), "for": "0s"}]


def firing(prometheus: servers.Server) -> set[tuple[str, str]]:
    """Alert and provider."""
    told = httpx.get(f"{prometheus.url}/api/v1/alerts", timeout=60, trust_env=False).json()["data"]["alerts"]
    return {(a["labels"]["alertname"], a["labels"]["provider"]) for a in told if a["state"] == "firing"}


def test_an_end_that_the_vendors_list_tells_fires_its_alert_and_one_that_it_moves_is_taken_back(
    tmp_path: Path,
) -> None:
    today = datetime.now(UTC).date()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "ends", "rules": RULES}]}))

    def watch(providers: dict[str, Any], gpt: Vendor) -> None:
        port = servers.free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(tmp_path / "rules.yml")],
            "scrape_configs": [
                {"job_name": "techsapo-app", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            ],
        }
        with servers.prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as prometheus:
            expected = {("ModelRetires", "gpt"), ("ModelRetires", "claude")}
            with serving(tmp_path / "app", port=port, providers=providers):
                servers.wait_for(lambda: firing(prometheus) == expected, timeout=60, what="both alerts")
            gpt.retires["good"] = today + timedelta(days=400)
            with serving(tmp_path / "app", port=port, providers=providers):
                servers.wait_for(
                    lambda: firing(prometheus) == {("ModelRetires", "claude")},
                    timeout=60,
                    what="the vendor's new day",
                )

    async def main() -> None:
        async with (
            vendor(WIRES["openai"]) as gpt,
            vendor(WIRES["anthropic"]) as claude,
            vendor(WIRES["google"]) as gemini,
        ):
            gpt.retires["good"] = today + timedelta(days=30)
            claude.retires["good"] = today - timedelta(days=1)
            providers = {
                name: {"kind": kind, "base_url": shop.url, "model": "good", "api_key": KEY, "price": PRICE}
                for name, kind, shop in (
                    ("gpt", "openai", gpt), ("claude", "anthropic", claude), ("gemini", "google", gemini),
                )
            }  # fmt: skip
            await asyncio.to_thread(watch, providers, gpt)
            assert [shop.asked for shop in (gpt, claude, gemini)] == [[], [], []]

    asyncio.run(main())
