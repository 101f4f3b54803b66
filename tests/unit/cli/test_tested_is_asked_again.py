"""Of which providers `techsapo providers test` lets the running app know that they answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.cli.main import app
from techsapo_ops.operations import provider_tests, tell_tested
from techsapo_ops.wallbounce.tried import Check, Outcome, Tried

SPEC = """\
project: x
providers:
  a: {kind: openai-compatible, model: one, base_url: "http://127.0.0.1:9/v1", price: {input: 0, output: 0}}
  b: {kind: openai-compatible, model: other, base_url: "http://127.0.0.1:9/v1", price: {input: 0, output: 0}}
"""


@each_row(
    "checks, told",
    [
        pytest.param([Check("answer", Outcome.OK, "answered in 1.0 s")], [["a"]], id="answered"),
        pytest.param(
            [
                Check("answer", Outcome.OK, "answered in 1.0 s"),
                Check("grades", Outcome.FAILED, "the grades can't be read"),
            ],
            [["a"]],
            id="answered, and can't grade",
        ),
        pytest.param([Check("answer", Outcome.FAILED, "the API key is refused")], [], id="refused"),
        pytest.param([Check("answer", Outcome.SKIPPED, "not asked: too dear")], [], id="not asked"),
    ],
)
def test_whoever_answered_is_asked_again_whatever_else_was_the_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: list[Check], told: list[list[str]]
) -> None:
    (tmp_path / "techsapo.yaml").write_text(SPEC, encoding="utf-8")
    key = tmp_path / ".techsapo" / "keys" / "app-key"
    heard: list[list[str]] = []

    def tests(*_: Any) -> list[Tried]:
        return [Tried("a", "openai-compatible", "m", tuple(checks))]

    def tell(stack: Any, names: list[str]) -> tuple[str, ...]:
        assert stack.layout.app_key == key
        heard.append(list(names))
        return ()

    monkeypatch.chdir(tmp_path)
    key.parent.mkdir(parents=True)
    key.write_text("0f" * 24, encoding="utf-8")
    monkeypatch.setattr(provider_tests, "run_tests", tests)
    monkeypatch.setattr(tell_tested, "tell_tested", tell)
    done = CliRunner().invoke(app, ["providers", "test", "a"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    assert heard == told
