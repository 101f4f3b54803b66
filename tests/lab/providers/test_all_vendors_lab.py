"""Whole analyses among real models of all vendors: nothing that goes along is refused or passed over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from asking import KEY, PRICE
from orchestrator import client_of, make_app
from rows import each_row
from vendors import ANSWER, Vendor, vendor
from vendors.chats import SERVERS
from vendors.core import Wire
from vendors.wires import WIRES

pytestmark = pytest.mark.lab

MODELS: dict[str, tuple[Wire, dict[str, Any]]] = {
    "gpt": (WIRES["openai"], {"kind": "openai", "model": "gpt-6.1-sol", "effort": "low"}),
    "claude": (WIRES["anthropic"], {"kind": "anthropic", "model": "claude-sonnet-5-5", "effort": "low"}),
    "gemini": (WIRES["google"], {"kind": "google", "model": "gemini-3.8-flash", "effort": "low"}),
    "qwen": (WIRES["openrouter"], {"kind": "openrouter", "model": "qwen/qwen3-235b-a22b"}),
    "local": (SERVERS["ollama"], {"kind": "openai-compatible", "model": "qwen3:8b"}),
}


@each_row("stream", [False, True])
def test_a_critical_analysis_asks_every_vendor_as_it_takes_it(stream: bool, tmp_path: Path) -> None:
    async def main() -> tuple[dict[str, Any], dict[str, Vendor]]:
        async with AsyncExitStack() as stack:
            seen = {name: await stack.enter_async_context(vendor(wire)) for name, (wire, _) in MODELS.items()}
            common = {"api_key": KEY, "price": PRICE, "stream": stream, "max_output_tokens": 2000}
            providers = {
                name: {**section, **common, "base_url": seen[name].url}
                for name, (_, section) in MODELS.items()
            }
            app = make_app(tmp_path, providers=providers)
            async with client_of(app) as client:
                asked = {"prompt": "ディスクが一杯です", "task_type": "critical"}
                response = await client.post("/api/v1/generate", json=asked)
                assert response.status_code == 200, response.text
                return dict(response.json()), seen

    body, seen = asyncio.run(main())
    assert ANSWER["root_cause"] in str(body)
    for name, shop in seen.items():
        assert shop.refused == [], name
        assert all(asked.unread == () for asked in shop.asked), name
    asked_of = {name: len(shop.asked) for name, shop in seen.items() if shop.asked}
    assert len(asked_of) >= 4, "critical asks four"
    assert min(asked_of.values()) >= 2, "each answers and grades"
    assert [p["error"] for p in body["providers"] if p["status"] == "failed"] == []
