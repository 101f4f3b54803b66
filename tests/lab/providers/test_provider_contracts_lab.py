"""What we send today, against stand-ins that refuse what each vendor refuses (tests/cases/vendors)."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from asking import KEY, KINDS, PRICE, ask
from orchestrator import client_of, make_app
from rows import each_row
from vendors import ANSWER, Vendor, vendor
from vendors.chats import SERVERS, OpenAIChat
from vendors.clouds import CLOUDS
from vendors.core import Wire
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.render.templates import Templates
from techsapo_ops.wallbounce.answers import Answer, Grades

pytestmark = pytest.mark.lab


def named_by_init() -> list[dict[str, Any]]:
    """The commented providers of the spec that `techsapo init` writes, without those of no vendor."""
    text = Templates().render(
        "init/techsapo.yaml.j2", project="x", grafana_password_file="g", public_url="", notifications={}
    )
    lines = re.findall(r"(?m)^#   \S+:\s+(\{kind: .*\}).*$", text)
    providers = [read_yaml(line) for line in lines]
    return [p for p in providers if p["kind"] in KINDS]


@each_row("stream", [False, True])
@each_row("provider", named_by_init(), ids=lambda p: p["kind"])
def test_each_model_that_init_names_is_asked_as_its_vendor_takes_it(
    provider: dict[str, Any], stream: bool
) -> None:
    options = {k: v for k, v in provider.items() if k not in {"kind", "model", "base_url", "api_key"}}
    answer, seen = ask(provider["kind"], provider["model"], stream=stream, **options)
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.structured) == (ANSWER["answer"], True)
    assert not seen.refused
    assert len(seen.asked) == 1, "the schema was not turned away either"


@each_row("stream", [False, True])
@each_row(
    "kind, model, stand_in, version",
    [
        ("openai", "gpt-5", WIRES["openai"], "gpt-5-2025-08-07"),
        ("openai-compatible", "gpt-5", OpenAIChat(), "gpt-5-2025-08-07"),
        ("openai", "my-deployment", CLOUDS["azure-responses"], "gpt-6.1-sol"),
        ("openai-compatible", "lab-luna", CLOUDS["azure-chat"], "gpt-6-luna"),
        ("anthropic", "claude-sonnet-4-5", WIRES["anthropic"], "claude-sonnet-4-5-20250929"),
        ("google", "gemini-3.8-flash", WIRES["google"], "gemini-3.8-flash"),
        ("openrouter", "qwen/qwen3-235b-a22b", WIRES["openrouter"], "qwen/qwen3-235b-a22b"),
        *(("openai-compatible", "qwen3:8b", wire, "qwen3:8b") for wire in SERVERS.values()),
    ],
)
@each_row("task", ["answer", "grade"])
def test_a_reply_names_the_model_that_answered_as_its_vendor_does(
    kind: str, model: str, stand_in: Wire, version: str, stream: bool, task: str
) -> None:
    """`system_fingerprint`, which OpenAI's and local servers' chat completions have, is no version."""
    reply, _ = ask(kind, model, task, at=stand_in, stream=stream)
    assert isinstance(reply, Answer | Grades), reply
    assert (reply.model, reply.version) == (model, version)


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
