"""`techsapo providers list`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from in_process import techsapo
from rows import each_row

from techsapo_ops.cli.app.providers import notes
from techsapo_ops.spec.load import load
from techsapo_ops.wallbounce.providers.overview import list_providers

SPEC = """\
project: x
providers:
  gpt: {kind: openai, model: gpt-5, api_key: "${OPENAI_API_KEY}"}
  claude: {kind: anthropic, model: claude-sonnet-5-5, api_key: sk-secret-1, max_output_tokens: 700}
  gemini: {kind: google, model: gemini-3.5-flash-lite, api_key: sk-secret-2, effort: low}
  spare: {kind: openrouter, model: qwen/qwen3-235b-a22b, api_key: sk-secret-3, effort: high}
  local: {kind: openai-compatible, model: qwen3, base_url: "http://127.0.0.1:11434/v1"}
  sim: {kind: simulated}
  unused: {kind: openai, model: gpt-6-luna, api_key: sk-secret-4, enabled: false}
wallbounce:
  tiers: {premium: {providers: 2, confidence: 0.8}, critical: {providers: 2, confidence: 0.9}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def listed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = techsapo(folder, "providers", "list", *arguments, env={"COLUMNS": "150"})
    assert "sk-secret" not in done.stdout + done.stderr
    return done


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    done = listed(folder, "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["providers"]}


def test_each_provider_is_told_with_what_is_known_of_its_model(folder: Path) -> None:
    found = rows(folder)
    assert list(found) == ["claude", "gemini", "spare", "local", "sim", "unused", "gpt"]
    claude = found["claude"]
    assert (claude["kind"], claude["model"], claude["usable"]) == ("anthropic", "claude-sonnet-5-5", True)
    assert claude["tiers"] == ["basic", "premium", "critical"]
    assert claude["max_output_tokens"] == 700
    assert claude["price"]["input"] == 2
    assert claude["price"]["source"].startswith("genai-prices ")
    assert claude["end"] is None
    assert found["gemini"]["max_output_tokens"] == 16_384
    assert found["spare"]["tiers"] == ["cascade"], "it is cheap"


def test_one_that_is_not_asked_says_why_and_keeps_what_is_known(folder: Path) -> None:
    found = rows(folder)
    reasons = {name: row["reason"] for name, row in found.items() if not row["usable"]}
    assert reasons.pop("local").startswith("its price is unknown; set providers.local.price")
    assert reasons == {
        "gpt": "OPENAI_API_KEY is not set",
        "sim": "not used: real and simulated providers are never mixed",
        "unused": "disabled in the spec",
    }
    end = found["gpt"]["end"]
    assert (end["retires"], end["replacement"], end["as_of"]) == ("2026-12-11", "gpt-6.1-sol", "2026-10-28")
    assert found["sim"]["model"] is None


def test_a_name_of_a_provider_can_not_move_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text(
        "project: x\nproviders:\n"
        '  a: {kind: openai, model: "m\\x1b[2Jx", api_key: k, price: {input: 1, output: 1}}\n'
        "  b: {kind: openai, model: n, api_key: k, price: {input: 1, output: 1}}\n"
    )
    done = listed(tmp_path)
    assert "\x1b" not in done.stdout + done.stderr


@each_row(
    "today, words", [(date(2026, 11, 29), "will be retired by"), (date(2026, 11, 30), "was retired by")]
)
def test_from_its_day_on_a_model_was_retired(today: date, words: str) -> None:
    text = "project: x\nproviders:\n  a: {kind: anthropic, model: claude-sonnet-4-5, api_key: k}\n"
    loaded = load(text, {}, lambda path: path, cross_check=False)
    (end, *_) = notes(list_providers(loaded), today)
    assert end.startswith(f"a: claude-sonnet-4-5 {words} its vendor on 2026-11-30 (as read on 2026-11-26)")
