"""The prompts: what is ours in them, what is data, and which version they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.wallbounce import prompts


@each_row("name", ["_ANSWER", "_GRADE", "_REVISE", "_JSON_ONLY"])
def test_the_version_changes_with_any_word_of_a_prompt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Mapping[str, str] = getattr(prompts, name)
    monkeypatch.setattr(prompts, name, {**told, "ja": told["ja"] + "。"})
    assert prompts._version() != prompts.PROMPT_VERSION


def test_the_version_changes_with_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "GRADES_SCHEMA", {**prompts.GRADES_SCHEMA, "description": "another"})
    assert prompts._version() != prompts.PROMPT_VERSION


def objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every schema within `schema`."""
    yield schema
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from objects(inner)


@each_row("schema", [prompts.ANSWER_SCHEMA, prompts.GRADES_SCHEMA])
def test_a_schema_keeps_to_what_every_vendors_strict_mode_takes(schema: Mapping[str, Any]) -> None:
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "description"}
    for each in objects(schema):
        assert set(each) <= known
        assert each["type"] in {"object", "array", "string", "number", "integer"}
        if each["type"] == "object":
            assert each["required"] == list(each["properties"])
            assert each["additionalProperties"] is False
