"""Analyses over a loopback vendor of chat completions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import client_of, make_app
from rows import each_row
from vendors import ANSWER, Vendor, vendor
from vendors.wires import Chat

from techsapo_ops.wallbounce.question import Question

pytestmark = pytest.mark.lab

KEY = "sk-lab-0123456789"
QUESTION = Question("サービスが起動しない", "ja", "req-1")


@each_row("model", ["empty", "huge"])
def test_an_empty_and_an_endless_answer_fail_within_an_analysis(model: str, tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        async with vendor(Chat()) as seen:
            app = make_app(tmp_path, providers=compatible(seen, "good", model, "good"))
            async with client_of(app) as client:
                body = {"prompt": QUESTION.text, "task_type": "premium"}
                response = await client.post("/api/v1/generate", json=body)
                return dict(response.json())

    body = asyncio.run(main())
    assert ANSWER["root_cause"] in str(body)
    assert body["simulated"] is False
    assert [p["error"]["kind"] for p in body["providers"] if p["status"] == "failed"] == ["bad_answer"]


def test_a_client_that_hangs_up_ends_the_calls_to_the_vendor(tmp_path: Path) -> None:
    from servers import wait_for

    async def main() -> None:
        async with vendor(Chat()) as seen:
            import orchestrator

            providers = compatible(seen, "slow", "slow")
            with await asyncio.to_thread(
                lambda: _enter(orchestrator.serving(tmp_path, providers=providers))
            ) as server:
                async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                    url = f"{server.url}/api/v1/generate"
                    call = asyncio.create_task(client.post(url, json={"prompt": "x"}))
                    await asyncio.to_thread(wait_for, lambda: len(seen.asked) == 2, what="both calls")
                    call.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await call
                await asyncio.to_thread(wait_for, lambda: seen.dropped == 2, what="both calls dropped")
                await asyncio.to_thread(wait_for, lambda: "Client gone" in server.log(), what="log line")

    asyncio.run(main())


def compatible(seen: Vendor, *models: str) -> dict[str, Any]:
    return {
        f"p{n}": {
            "kind": "openai-compatible",
            "model": model,
            "base_url": seen.url,
            "api_key": KEY,
            "price": {"input": 1, "output": 2},
        }
        for n, model in enumerate(models)
    }


class _enter:  # noqa: N801 - reads as a with block
    """Enter a blocking context manager in a thread, so that the vendor's loop goes on."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._value = manager.__enter__()

    def __enter__(self) -> Any:
        return self._value

    def __exit__(self, *error: Any) -> None:
        self._manager.__exit__(*error)
