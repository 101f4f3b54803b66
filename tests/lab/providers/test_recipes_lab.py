"""The specs of docs/providers.md pass validate, and their providers answer at their vendors' stand-ins."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from asking import KEY, ask
from recipes import documented_providers, recipes
from rows import each_row
from typer.testing import CliRunner
from vendors import ANSWER, vendor
from vendors.chats import SERVERS
from vendors.clouds import CLOUDS
from vendors.core import Wire
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli.main import app
from techsapo_ops.spec.models.providers import CompatibleProvider
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.providers.reading import Listed
from techsapo_ops.wallbounce.providers.registry import listed_model

pytestmark = pytest.mark.lab

TABLES = Path(__file__).parents[2] / "cases" / "vendors"
STAND_INS: dict[tuple[str, str], Wire] = {
    ("OpenAI", "openai"): WIRES["openai"],
    ("Anthropic", "anthropic"): WIRES["anthropic"],
    ("Google Gemini", "google"): WIRES["google"],
    ("OpenRouter", "openrouter"): WIRES["openrouter"],
    ("Ollama", "openai-compatible"): SERVERS["ollama"],
    ("vLLM", "openai-compatible"): SERVERS["vllm"],
    ("llama.cpp", "openai-compatible"): SERVERS["llama_cpp"],
    ("LM Studio", "openai-compatible"): SERVERS["lm_studio"],
    ("Azure OpenAI", "openai"): CLOUDS["azure-responses"],
    ("Vertex AI", "google"): CLOUDS["vertex-express"],
    ("Vertex AI by project", "google"): CLOUDS["vertex"],
    ("Amazon Bedrock", "openai-compatible"): CLOUDS["bedrock-chat"],
    ("Amazon Bedrock", "anthropic"): CLOUDS["bedrock-claude"],
}
SECOND = "  second: {kind: openai-compatible, model: m, price: {input: 0, output: 0}, base_url: http://127.0.0.1:9/v1}\n"
"""An analysis compares two."""
VARIABLE = re.compile(r"\$\{(\w+)\}")


def with_keys(value: Any) -> Any:
    """`value` with the lab's key in the place of each variable."""
    if isinstance(value, dict):
        return {name: with_keys(inner) for name, inner in value.items()}
    return VARIABLE.sub(KEY, value) if isinstance(value, str) else value


def test_both_languages_show_the_same_specs() -> None:
    english = recipes("providers.md")
    assert english == recipes("providers.ja.md")
    assert len(english) > len(WIRES)


@each_row("heading, spec", recipes("providers.md"))
def test_a_documented_spec_passes_validate(
    heading: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLE.findall(spec):
        monkeypatch.setenv(name, KEY)
    path = tmp_path / "techsapo.yaml"
    path.write_text(f"project: lab\n{spec}{SECOND}", encoding="utf-8")
    told = CliRunner().invoke(app, ["validate", "--file", str(path)])
    assert told.exit_code == 0, told.output
    about_provider = [line for line in told.output.splitlines() if "providers." in line]
    assert about_provider == [], "no warning about any option, model or key"


@each_row("stream", [False, True])
@each_row("heading, name, section", documented_providers("providers.md"))
def test_a_documented_provider_answers_at_its_vendors_stand_in(
    heading: str, name: str, section: dict[str, Any], stream: bool
) -> None:
    given = with_keys(section)
    kind, model, base = given.pop("kind"), given.pop("model"), given.pop("base_url", None)
    if base and "/projects/" in base:
        heading += " by project"
    wire = STAND_INS[heading, kind]
    if base:
        assert urlsplit(base).path == (wire.prefix or ""), "the stand-in has the documented path"
    options = {"api_key": None, **given, "stream": stream}
    answer, seen = ask(kind, model, at=wire, **options)
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.structured) == (ANSWER["answer"], True)
    assert seen.refused == []
    assert [asked.unread for asked in seen.asked] == [()]


OWN = [(heading, section) for heading, _, section in documented_providers("providers.md")
       if heading in {"Ollama", "vLLM", "llama.cpp", "LM Studio"}]  # fmt: skip


@each_row("heading, section", OWN)
def test_a_server_of_ones_own_lists_the_documented_model(heading: str, section: dict[str, Any]) -> None:
    async def main() -> Listed:
        async with vendor(STAND_INS[heading, section["kind"]]) as seen:
            spec = CompatibleProvider.model_validate({**section, "base_url": seen.url})
            return await listed_model("lab", spec)

    told = asyncio.run(main())
    assert told.exists


@each_row("table", sorted(TABLES.glob("*")), ids=lambda table: table.name)
def test_each_block_of_rules_has_a_source_and_a_day(table: Path) -> None:
    rules = read_yaml(table.read_text(encoding="utf-8"))
    for name, block in rules.items():
        if not isinstance(block, dict) or name in {"retired"}:
            continue
        assert block.get("source"), name
        assert block.get("as_of"), name
