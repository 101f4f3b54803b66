"""What we read in each vendor's list of models, from stand-ins that list as their vendors do."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from asking import KEY, PRICE
from orchestrator import client_of, make_app
from rows import each_row
from vendors import Vendor, vendor
from vendors.wires import WIRES

from techsapo_ops.serve.metrics import provider_health
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.reading import NO_LIST, Listed
from techsapo_ops.wallbounce.providers.registry import listed_model

pytestmark = pytest.mark.lab

NAME = "techsapo_provider_model_retires_timestamp_seconds"


def section(kind: str, url: str, model: str, **more: Any) -> Any:
    given = {"kind": kind, "base_url": url, "model": model, "api_key": KEY, "price": PRICE, **more}
    return Spec.model_validate({"project": "p", "providers": {"lab": given}}).providers["lab"]


def listed(kind: str, model: str, sent: str = KEY, **seen: Any) -> tuple[Listed | ProviderError, Vendor]:
    """What the list of `kind`'s stand-in says of `model`."""

    async def main() -> tuple[Listed | ProviderError, Vendor]:
        async with vendor(WIRES[kind]) as shop:
            for name, value in seen.items():
                setattr(shop, name, value)
            try:
                return await listed_model("lab", section(kind, shop.url, model, api_key=sent)), shop
            except ProviderError as error:
                return error, shop

    return asyncio.run(main())


@each_row(
    "kind, model, expected",
    [
        ("openai", "gpt-6.1-sol", Listed(True, tells_ends=True)),
        ("openai", "gpt-4.1", Listed(True, tells_ends=True, retires=date(2027, 1, 14))),
        ("anthropic", "claude-sonnet-5-5", Listed(True, tells_ends=True)),
        ("anthropic", "claude-sonnet-4-5", Listed(True, tells_ends=True, retires=date(2026, 11, 30))),
        ("anthropic", "claude-opus-4-1", Listed(False, tells_ends=True, retires=date(2026, 8, 5))),
        ("google", "gemini-3.8-flash", Listed(True)),
        ("openrouter", "lab/old-model", Listed(True, tells_ends=True, retires=date(2026, 12, 31))),
        ("openrouter", "qwen/qwen3-235b-a22b:nitro", Listed(True, tells_ends=True)),
        ("openai-compatible", "qwen3-8b", Listed(True)),
    ],
)
def test_the_vendors_list_says_whether_a_model_is_there_and_when_it_ends(
    kind: str, model: str, expected: Listed
) -> None:
    told, shop = listed(kind, model)
    assert told == expected
    assert (shop.listed, shop.asked, shop.refused) == (1, [], []), "one GET, which nobody bills"


@each_row("kind", list(WIRES))
def test_a_model_that_the_vendor_does_not_list_is_not_there(kind: str) -> None:
    told, _ = listed(kind, "no/such model")
    assert isinstance(told, Listed), told
    assert told.exists is False


@each_row("kind", ["openai", "anthropic", "google"])
def test_a_refused_key_is_told_as_that_and_does_not_appear_in_the_words(kind: str) -> None:
    told, _ = listed(kind, "good", sent="sk-wrong-9876543210", key=KEY)
    assert isinstance(told, ProviderError)
    assert told.cause is Cause.KEY
    assert "sk-wrong-9876543210" not in told.message


def answered(status: int, body: str, kind: str = "openai-compatible") -> Listed | ProviderError:
    """What is made of a server that answers everything so."""

    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "/v1/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    async def main() -> Listed | ProviderError:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            return await listed_model("lab", section(kind, url, "m"))
        except ProviderError as error:
            return error
        finally:
            await runner.cleanup()

    return asyncio.run(main())


@each_row("status", [404, 405, 501])
def test_a_server_without_a_list_says_nothing(status: int) -> None:
    assert answered(status, '{"error": "no such path"}') == NO_LIST


@each_row(
    "status, body",
    [
        (200, "<html>"),
        (200, "[]"),
        (200, "null"),
        (200, '{"data": [{"id": ["m"]}]}'),
        (200, '{"data": [{"name": "m"}]}'),
        (200, "[" * 100_000),
        (200, '{"data": []' + " " * 9_000_000 + "}"),
        (302, ""),
        (500, "down"),
    ],
)
@each_row("kind", list(WIRES))
def test_a_list_of_another_shape_is_an_error_in_words(kind: str, status: int, body: str) -> None:
    told = answered(status, body, kind)
    assert isinstance(told, ProviderError)
    assert told.message


@each_row(
    "kind, body",
    [
        ("openai", '{"id": "m", "shutdown_date": "soon"}'),
        ("anthropic", '{"id": "m", "retires_at": ["2026"]}'),
        ("openrouter", '{"data": [{"id": "m", "expiration_date": "2026-13-01"}]}'),
    ],
)
def test_an_end_that_is_no_day_is_an_error_in_words(kind: str, body: str) -> None:
    told = answered(200, body, kind)
    assert isinstance(told, ProviderError)
    assert told.kind is FailureKind.BAD_ANSWER


def test_the_app_reads_the_lists_by_itself_and_exports_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_health, "SOON", 0.0)

    async def main() -> str:
        async with vendor(WIRES["openai"]) as gpt, vendor(WIRES["google"]) as gemini:
            gpt.retires["good"] = date(2100, 1, 1)
            common = {"api_key": KEY, "model": "good", "price": PRICE}
            providers = {
                "gpt": {"kind": "openai", "base_url": gpt.url, **common},
                "gemini": {"kind": "google", "base_url": gemini.url, **common},
            }
            async with client_of(make_app(tmp_path, providers=providers)) as client:
                text = ""
                async with asyncio.timeout(30):
                    while gpt.listed + gemini.listed < 2 or NAME not in text:
                        text = (await client.get("/metrics")).text
            assert (gpt.asked, gemini.asked) == ([], []), "no question, which would cost"
            return text

    text = asyncio.run(main())
    assert f'{NAME}{{model="good",provider="gpt",source="vendor"}} 4.1024448e+09' in text
    assert len(re.findall(rf"(?m)^{NAME}\{{", text)) == 1, "Google's list tells no ends"
