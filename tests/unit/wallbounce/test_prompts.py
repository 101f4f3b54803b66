"""The prompts: what is ours in them, what is data, and which version they are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from techsapo_ops.wallbounce import prompts


def test_the_version_of_the_prompts_is_the_same_wherever_they_are() -> None:
    assert prompts._version() == prompts.PROMPT_VERSION


@pytest.mark.parametrize("name", ["_ANSWER", "_GRADE", "_REVISE", "_JSON_ONLY"])
def test_the_version_changes_with_any_word_of_a_prompt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Mapping[str, str] = getattr(prompts, name)
    monkeypatch.setattr(prompts, name, {**told, "ja": told["ja"] + "。"})
    assert prompts._version() != prompts.PROMPT_VERSION


def test_the_version_changes_with_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "GRADES_SCHEMA", {**prompts.GRADES_SCHEMA, "description": "another"})
    assert prompts._version() != prompts.PROMPT_VERSION
